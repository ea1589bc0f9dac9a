package android.view;

import android.content.Context;

public class View {
    public interface OnClickListener {
        void onClick(View view);
    }

    public View(Context context) {}

    public void setEnabled(boolean enabled) {}

    public boolean isEnabled() { return true; }

    public void setFitsSystemWindows(boolean fits) {}

    public boolean getFitsSystemWindows() { return true; }

    public void setOnClickListener(OnClickListener listener) {}
}
