package org.tfkd.bench

import android.content.Context
import java.io.File
import java.io.IOException
import org.json.JSONArray

/** The files that a run leaves: in a folder that is named, else in the app's own folder on shared storage. */
class Files(context: Context, named: String?) {
    private val folder = named?.let(::File)?.apply { mkdirs() }
        ?: context.getExternalFilesDir(null) ?: throw BenchException("The shared storage is not there.")

    val results = folder.resolve("results.json")

    /**
     * `state` is running, with what it is `doing`; after results.json it is done, with what was `skipped`, or failed,
     * with the `error`.
     */
    val status = folder.resolve("status.json")
}

/** Writes a file whole or not at all. */
fun write(file: File, text: String) {
    val partial = file.resolveSibling(".${file.name}.partial")
    partial.writeText(text)
    if (!partial.renameTo(file)) throw IOException("Cannot write $file.")
}

/**
 * Measures a bundle and writes results.json and status.json.
 *
 * @param text returns the extras: [options], `bundle`, a folder on the phone in place of the app's assets, and
 *     `results`, the folder for what a run leaves.
 * @throws BenchException it could not be measured; status.json says so too.
 */
fun measure(context: Context, text: (String) -> String?, say: (String) -> Unit): Outcome {
    val files = Files(context, text("results"))
    files.status.delete()
    files.results.delete()
    return try {
        val bundle = readBundle(text("bundle")?.let(::File) ?: unpackedAssets(context))
        val options = options(text)
        val tell = { doing: String ->
            write(files.status, json("state" to "running", "doing" to doing).toString())
            say(doing)
        }
        val outcome = LiteRt(context).use { Bench(bundle, it, AndroidPhone(context), options, tell).run() }
        write(files.results, encode(outcome.results))
        val skipped = outcome.skipped.map { json("path" to it.path, "delegate" to it.delegate, "reason" to it.reason) }
        write(files.status, json("state" to "done", "skipped" to JSONArray(skipped)).toString())
        outcome
    } catch (error: Exception) {
        val known = error as? BenchException ?: BenchException(error.toString())
        write(files.status, json("state" to "failed", "error" to known.message).toString())
        throw known
    }
}

/** The runtime loads files, and hashes are taken of files: so the assets become some. */
private fun unpackedAssets(context: Context): File {
    val folder = context.cacheDir.resolve("bundle")
    folder.deleteRecursively()
    if (context.assets.list("bundle").isNullOrEmpty()) {
        throw BenchException("The app holds no bundle. Copy one into its assets, or name a folder.")
    }
    unpack(context, "bundle", folder)
    return folder
}

private fun unpack(context: Context, asset: String, file: File) {
    val children = context.assets.list(asset).orEmpty()
    if (children.isNotEmpty()) {
        file.mkdirs()
        for (child in children) unpack(context, "$asset/$child", file.resolve(child))
    } else {
        context.assets.open(asset).use { source -> file.outputStream().use(source::copyTo) }
    }
}
