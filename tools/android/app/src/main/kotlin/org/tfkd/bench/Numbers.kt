package org.tfkd.bench

import kotlin.math.abs
import kotlin.math.ceil
import kotlin.math.floor

// As tfkd has them: floats may be summed in another order, integers differ by a step of 1/256 here or there.
private val TOLERANCE = mapOf("fp32" to 1e-3, "fp16" to 1e-2, "dynamic" to 2e-2, "int8" to 2.0 / 256)
private val LOOSEST = TOLERANCE.values.max()

// A processor for graphics or networks computes in float16, whatever the file holds.
private val ACCELERATED = TOLERANCE.getValue("fp16")

/** Returns the largest difference of a probability that passes. */
fun tolerance(precision: String, delegate: Delegate): Double {
    val stated = TOLERANCE[precision] ?: LOOSEST
    return if (delegate == Delegate.CPU) stated else maxOf(stated, ACCELERATED)
}

/** Compares answers with the expected ones, image by image; what is not a number fails. */
fun compare(answers: List<FloatArray>, expected: List<List<Double>>, tolerance: Double): Golden {
    val errors = answers.zip(expected) { given, wanted -> largestError(given, wanted) }
    val equal = answers.zip(expected) { given, wanted -> first(given.map { it.toDouble() }) == first(wanted) }
    val error = errors.max()
    return Golden(answers.size, error, tolerance, equal.count { it } / equal.size.toDouble(), error <= tolerance)
}

private fun largestError(given: FloatArray, wanted: List<Double>): Double {
    if (given.size != wanted.size) throw BenchException("The file gives ${given.size} classes, not ${wanted.size}.")
    return wanted.indices.maxOf { index -> abs(given[index] - wanted[index]).let { if (it.isFinite()) it else 1.0 } }
}

private fun first(probabilities: List<Double>) = probabilities.indices.maxBy { probabilities[it] }

/** Returns quantiles by linear interpolation (Hyndman & Fan 1996, type 7) of at least one sample. */
fun summary(samples: List<Double>): Latency {
    val sorted = samples.sorted()
    return Latency(quantile(sorted, 0.5), quantile(sorted, 0.9), quantile(sorted, 0.99), sorted.first())
}

internal fun quantile(sorted: List<Double>, share: Double): Double {
    val position = share * (sorted.size - 1)
    val below = sorted[floor(position).toInt()]
    return below + (sorted[ceil(position).toInt()] - below) * (position - floor(position))
}

/** Returns the file's input bytes for raw RGB bytes: as they are, or less 128 in int8. */
fun asTaken(pixels: ByteArray, tensor: Tensor): ByteArray =
    if (tensor.dtype == "int8") ByteArray(pixels.size) { (pixels[it] - 128).toByte() } else pixels

/** Returns the probabilities that the file's output bytes stand for. */
fun dequantized(values: ByteArray, tensor: Tensor): FloatArray {
    val scale = tensor.scale ?: 1f
    return FloatArray(values.size) { index ->
        val value = if (tensor.dtype == "int8") values[index].toInt() else values[index].toInt() and 0xFF
        (value - tensor.zeroPoint) * scale
    }
}
