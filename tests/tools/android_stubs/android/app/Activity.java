package android.app;

import android.content.Context;
import android.content.Intent;
import android.os.Bundle;
import android.view.View;
import android.view.Window;

public class Activity extends Context {
    protected void onCreate(Bundle state) {}

    public Intent getIntent() { return null; }

    public Window getWindow() { return null; }

    public void setContentView(View view) {}

    public final void runOnUiThread(Runnable action) {}

    public void finish() {}
}
