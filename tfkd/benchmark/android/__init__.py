"""The target `android`: files run by LiteRT's benchmark tool or by the app, over adb."""
