package android.graphics;

public class BitmapFactory {
    public static class Options {
        public boolean inScaled;
        public boolean inPremultiplied;
        public Bitmap.Config inPreferredConfig;
    }

    public static Bitmap decodeFile(String path, Options options) { return null; }
}
