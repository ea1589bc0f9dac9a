package org.tfkd.bench

import org.json.JSONArray
import org.json.JSONObject

/** The schema of the results, as tfkd validates it. */
const val SCHEMA = "tfkd-bench-1"

/** Cores of one kind. */
data class Cores(val count: Int, val maxMhz: Int?) {
    fun toJson() = json("count" to count, "max_mhz" to maxMhz)

    companion object {
        fun fromJson(source: JSONObject) = Cores(source.getInt("count"), source.whole("max_mhz"))
    }
}

/** What changes on a phone while it is measured; null for what it does not tell. */
data class Condition(val celsius: Double?, val thermalStatus: String?, val battery: Double?) {
    fun toJson() = json("celsius" to celsius, "thermal_status" to thermalStatus, "battery" to battery)

    companion object {
        fun fromJson(source: JSONObject) =
            Condition(source.real("celsius"), source.text("thermal_status"), source.real("battery"))
    }
}

/** The phone. */
data class Device(
    val maker: String?,
    val model: String?,
    val soc: String?,
    val cores: List<Cores>,
    val os: String,
    val abi: String,
    val governor: String?,
    val before: Condition,
    val after: Condition,
) {
    fun toJson() = json(
        "maker" to maker,
        "model" to model,
        "soc" to soc,
        "cores" to JSONArray(cores.map { it.toJson() }),
        "os" to os,
        "abi" to abi,
        "governor" to governor,
        "before" to before.toJson(),
        "after" to after.toJson(),
    )

    companion object {
        fun fromJson(source: JSONObject) = Device(
            source.text("maker"),
            source.text("model"),
            source.text("soc"),
            source.getJSONArray("cores").objects().map(Cores::fromJson),
            source.getString("os"),
            source.getString("abi"),
            source.text("governor"),
            Condition.fromJson(source.getJSONObject("before")),
            Condition.fromJson(source.getJSONObject("after")),
        )
    }
}

/** Of one inference, milliseconds. */
data class Latency(val median: Double, val p90: Double, val p99: Double, val min: Double) {
    fun toJson() = json("median" to median, "p90" to p90, "p99" to p99, "min" to min)

    companion object {
        fun fromJson(source: JSONObject) = Latency(
            source.getDouble("median"),
            source.getDouble("p90"),
            source.getDouble("p99"),
            source.getDouble("min"),
        )
    }
}

/** The phone's own answers to the golden images, compared with the bundle's. */
data class Golden(
    val checked: Int,
    val maxAbsError: Double,
    val tolerance: Double,
    val top1Equal: Double,
    val passed: Boolean,
    val family: String?,
    val fault: String?,
) {
    fun toJson() = json(
        "family" to family,
        "fault" to fault,
        "checked" to checked,
        "max_abs_error" to maxAbsError,
        "tolerance" to tolerance,
        "top1_equal" to top1Equal,
        "passed" to passed,
    )

    companion object {
        fun fromJson(source: JSONObject) = Golden(
            source.getInt("checked"),
            source.getDouble("max_abs_error"),
            source.getDouble("tolerance"),
            source.getDouble("top1_equal"),
            source.getBoolean("passed"),
            source.text("family"),
            source.text("fault"),
        )
    }
}

/** One file on this phone, on one delegate with one number of threads. */
data class Result(
    val device: Device,
    val runtime: String,
    val runtimeVersion: String,
    val delegate: String,
    val path: String,
    val sha256: String,
    val threads: Int?,
    val warmup: Int,
    val samplesMs: List<Double>,
    val latencyMs: Latency,
    val initMs: Double,
    val firstInferenceMs: Double,
    val peakMemoryMb: Double?,
    val golden: Golden?,
    val emulated: Boolean,
) {
    fun toJson() = json(
        "target" to "android",
        "device" to device.toJson(),
        "runtime" to json("name" to runtime, "version" to runtimeVersion),
        "delegate" to delegate,
        "artifact" to json("path" to path, "sha256" to sha256),
        "threads" to threads,
        "warmup" to warmup,
        "runs" to samplesMs.size,
        "samples_ms" to JSONArray(samplesMs),
        "latency_ms" to latencyMs.toJson(),
        "init_ms" to initMs,
        "first_inference_ms" to firstInferenceMs,
        "peak_memory_mb" to peakMemoryMb,
        "golden" to golden?.toJson(),
        "emulated" to emulated,
        "rung" to if (emulated) "virtual device" else "device",
    )

    companion object {
        fun fromJson(source: JSONObject) = Result(
            Device.fromJson(source.getJSONObject("device")),
            source.getJSONObject("runtime").getString("name"),
            source.getJSONObject("runtime").getString("version"),
            source.getString("delegate"),
            source.getJSONObject("artifact").getString("path"),
            source.getJSONObject("artifact").getString("sha256"),
            source.whole("threads"),
            source.getInt("warmup"),
            source.getJSONArray("samples_ms").doubles(),
            Latency.fromJson(source.getJSONObject("latency_ms")),
            source.getDouble("init_ms"),
            source.getDouble("first_inference_ms"),
            source.real("peak_memory_mb"),
            source.optJSONObject("golden")?.let(Golden::fromJson),
            source.getBoolean("emulated"),
        )
    }
}

/** Returns the JSON of a file of results. */
fun encode(results: List<Result>): String =
    json("schema" to SCHEMA, "results" to JSONArray(results.map { it.toJson() })).toString(2)

/**
 * Returns the results in a JSON text.
 *
 * @throws org.json.JSONException the text is not of this schema.
 */
fun decode(text: String): List<Result> =
    JSONObject(text).getJSONArray("results").objects().map(Result::fromJson)

/** Returns an object without the fields that are null. */
internal fun json(vararg fields: Pair<String, Any?>) =
    JSONObject().apply { for ((name, value) in fields) putOpt(name, value) }

internal fun JSONArray.objects() = List(length()) { getJSONObject(it) }

internal fun JSONArray.doubles() = List(length()) { getDouble(it) }

internal fun JSONObject.text(name: String) = if (isNull(name)) null else getString(name)

internal fun JSONObject.real(name: String) = if (isNull(name)) null else getDouble(name)

internal fun JSONObject.whole(name: String) = if (isNull(name)) null else getInt(name)
