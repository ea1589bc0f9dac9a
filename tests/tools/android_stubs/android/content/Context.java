package android.content;

import android.content.pm.ApplicationInfo;
import android.content.res.AssetManager;
import java.io.File;

public abstract class Context {
    public static final String POWER_SERVICE = "power";

    public AssetManager getAssets() { return null; }

    public ApplicationInfo getApplicationInfo() { return null; }

    public ContentResolver getContentResolver() { return null; }

    public File getCacheDir() { return null; }

    public File getExternalFilesDir(String type) { return null; }

    public Object getSystemService(String name) { return null; }

    public Intent registerReceiver(BroadcastReceiver receiver, IntentFilter filter) { return null; }
}
