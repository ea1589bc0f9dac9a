package org.tfkd.bench

import java.io.File
import java.io.IOException
import java.security.MessageDigest
import org.json.JSONException
import org.json.JSONObject

/** What was asked for cannot be done; the message says why, on one line. */
class BenchException(message: String) : Exception(message)

/** How numbers stand for real ones: real = (number - zeroPoint) * scale; a scale of null is none at all. */
data class Tensor(val dtype: String, val shape: List<Int>, val scale: Float?, val zeroPoint: Int)

/** The numbers of a text's pieces. */
const val IDS = "int32"

/** A .tflite file of the bundle. */
data class Artifact(
    val path: String,
    val file: File,
    val sha256: String,
    val precision: String,
    val input: Tensor,
    val output: Tensor,
    /** By runtime family, the largest difference from the golden answers that passes; empty in older bundles. */
    val tolerances: Map<String, Double>,
)

/**
 * A golden example: its file, of a text also its ids and, by path of an artifact, the probabilities that it must get;
 * those of other runtime families than LiteRT with XNNPACK by family and path.
 */
data class GoldenExample(
    val file: File,
    val ids: List<Int>?,
    val probabilities: Map<String, List<Double>>,
    val families: Map<String, Map<String, List<Double>>>,
) {
    /** Returns the probabilities of a family; XNNPACK's where the bundle has none of it. */
    fun answers(family: String, path: String): List<Double>? = families[family]?.get(path) ?: probabilities[path]
}

/** What a bundle that `tfkd run` made holds for this phone. */
data class Bundle(val artifacts: List<Artifact>, val golden: List<GoldenExample>)

/**
 * Reads a bundle, and compares its .tflite files with their hashes in the manifest.
 *
 * @throws BenchException the folder is no bundle, or not a whole one.
 */
fun readBundle(folder: File): Bundle = try {
    val manifest = JSONObject(folder.resolve("manifest.json").readText())
    val artifacts = manifest.getJSONArray("artifacts").objects()
        .filter { it.getString("format") == "tflite" }
        .map { artifact(folder, it) }
    if (artifacts.isEmpty()) throw BenchException("$folder holds no tflite file.")
    val golden = JSONObject(folder.resolve("golden/golden.json").readText()).getJSONArray("images").objects()
    Bundle(artifacts, golden.map { goldenExample(folder, it) }).also(::requireIds)
} catch (error: IOException) {
    throw BenchException("$folder is no bundle: ${error.message}")
} catch (error: JSONException) {
    throw BenchException("$folder is no bundle of this version: ${error.message}")
}

/** Refuses texts without ids: the app has no tokenizer. */
private fun requireIds(bundle: Bundle) {
    val texts = bundle.artifacts.any { it.input.dtype == IDS }
    if (texts && bundle.golden.any { it.ids == null }) {
        throw BenchException("golden.json does not list the ids of its texts. Make the bundle again.")
    }
}

private fun artifact(folder: File, entry: JSONObject): Artifact {
    val path = entry.getString("path")
    val file = inside(folder, path)
    if (sha256(file) != entry.getString("sha256")) throw BenchException("$path is not the file that the manifest names.")
    val io = entry.getJSONObject("io")
    return Artifact(
        path,
        file,
        entry.getString("sha256"),
        entry.getString("precision"),
        tensor(io.getJSONObject("input")),
        tensor(io.getJSONObject("output")),
        entry.optJSONObject("golden_tolerances")?.map { tolerances, family -> tolerances.getDouble(family) }.orEmpty(),
    )
}

private fun tensor(entry: JSONObject) = Tensor(
    entry.getString("dtype"),
    entry.getJSONArray("shape").doubles().map { it.toInt() },
    entry.real("scale")?.toFloat(),
    entry.whole("zero_point") ?: 0,
)

private fun goldenExample(folder: File, entry: JSONObject): GoldenExample {
    val families = entry.optJSONObject("families")?.map { all, family ->
        if (Delegate.entries.any { it.family == family }) answers(all.getJSONObject(family)) else emptyMap()
    }
    val probabilities = answers(entry.getJSONObject("probabilities"))
    val ids = entry.optJSONArray("ids")?.doubles()?.map { it.toInt() }
    return GoldenExample(inside(folder, "golden/" + entry.getString("file")), ids, probabilities, families.orEmpty())
}

private fun answers(byPath: JSONObject) = byPath.map { all, path -> all.getJSONArray(path).doubles() }

private fun <T> JSONObject.map(value: (JSONObject, String) -> T): Map<String, T> =
    keys().asSequence().associateWith { value(this, it) }

private fun inside(folder: File, path: String): File {
    if (path.startsWith("/") || ".." in path.split("/")) throw BenchException("$path is outside the bundle.")
    return folder.resolve(path)
}

private fun sha256(file: File): String {
    val digest = MessageDigest.getInstance("SHA-256")
    file.inputStream().use { stream ->
        val buffer = ByteArray(1 shl 16)
        while (true) {
            val count = stream.read(buffer)
            if (count < 0) break
            digest.update(buffer, 0, count)
        }
    }
    return digest.digest().joinToString("") { "%02x".format(it) }
}
