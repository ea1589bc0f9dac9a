package androidx.test.platform.app;

import android.app.Instrumentation;
import android.os.Bundle;

public final class InstrumentationRegistry {
    public static Bundle getArguments() { return null; }

    public static Instrumentation getInstrumentation() { return null; }
}
