package android.content;

import android.net.Uri;

public class Intent {
    public static final String ACTION_BATTERY_CHANGED = "android.intent.action.BATTERY_CHANGED";

    public String getAction() { return null; }

    public Uri getData() { return null; }

    public boolean getBooleanExtra(String name, boolean missing) { return missing; }

    public int getIntExtra(String name, int missing) { return missing; }

    public String getStringExtra(String name) { return null; }
}
