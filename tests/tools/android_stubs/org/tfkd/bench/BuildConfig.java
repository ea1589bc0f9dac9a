package org.tfkd.bench;

public final class BuildConfig {
    public static final String LITERT_VERSION = "";
}
