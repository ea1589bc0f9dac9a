package com.google.mediapipe.tasks.core;

public abstract class BaseOptions {
    public abstract static class Builder {
        public abstract Builder setModelAssetPath(String value);

        public final BaseOptions build() { return null; }
    }

    public static Builder builder() { return null; }
}
