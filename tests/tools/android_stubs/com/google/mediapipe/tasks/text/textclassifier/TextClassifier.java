package com.google.mediapipe.tasks.text.textclassifier;

import android.content.Context;
import com.google.mediapipe.tasks.core.BaseOptions;

public final class TextClassifier implements AutoCloseable {
    public abstract static class TextClassifierOptions {
        public abstract static class Builder {
            public abstract Builder setBaseOptions(BaseOptions value);

            public abstract Builder setMaxResults(Integer value);

            public final TextClassifierOptions build() { return null; }
        }

        public static Builder builder() { return null; }
    }

    public static TextClassifier createFromOptions(Context context, TextClassifierOptions options) { return null; }

    public TextClassifierResult classify(String text) { return null; }

    @Override
    public void close() {}
}
