package com.google.mediapipe.tasks.vision.imageclassifier;

import android.content.Context;
import com.google.mediapipe.framework.image.MPImage;
import com.google.mediapipe.tasks.core.BaseOptions;

public final class ImageClassifier implements AutoCloseable {
    public abstract static class ImageClassifierOptions {
        public abstract static class Builder {
            public abstract Builder setBaseOptions(BaseOptions value);

            public abstract Builder setMaxResults(Integer value);

            public final ImageClassifierOptions build() { return null; }
        }

        public static Builder builder() { return null; }
    }

    public static ImageClassifier createFromOptions(Context context, ImageClassifierOptions options) { return null; }

    public ImageClassifierResult classify(MPImage image) { return null; }

    @Override
    public void close() {}
}
