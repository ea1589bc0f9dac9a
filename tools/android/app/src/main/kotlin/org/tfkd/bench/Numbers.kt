package org.tfkd.bench

import kotlin.math.abs
import kotlin.math.ceil
import kotlin.math.floor

// As in tfkd/formats, where they are explained.
private val XNNPACK = mapOf("fp32" to 1e-4, "fp16" to 1e-4, "int8" to 2.0 / 256, "16x8" to 2.0 / 256)
private const val OTHER = 4e-2
private const val ACCELERATED = 3e-2
private const val SUM = 0.02
private const val MASS = 2.0
private const val LEAST_STEP = 1e-6

/** Returns the largest difference of a probability that passes. */
fun tolerance(precision: String, delegate: Delegate): Double =
    if (delegate == Delegate.CPU) XNNPACK[precision] ?: OTHER else ACCELERATED

/** Compares answers with the expected ones, image by image; what is not a number fails. */
fun compare(
    answers: List<FloatArray>,
    expected: List<List<Double>>,
    tolerance: Double,
    family: String,
    step: Double = 0.0,
): Golden {
    val errors = answers.zip(expected) { given, wanted -> largestError(given, wanted) }
    val equal = answers.zip(expected) { given, wanted -> first(given.map { it.toDouble() }) == first(wanted) }
    val error = errors.max()
    val fault = fault(answers, expected, step) ?: moved(answers, expected, tolerance)
    val passed = fault == null && error <= tolerance
    return Golden(answers.size, error, tolerance, equal.count { it } / equal.size.toDouble(), passed, family, fault)
}

/** Says why answers cannot be right, at any tolerance, as tfkd/verification/probabilities.py does; null where they can. */
internal fun fault(answers: List<FloatArray>, expected: List<List<Double>>, step: Double): String? {
    val values = answers.flatMap { it.asList() }
    val sums = answers.map { answer -> answer.sumOf { it.toDouble() } }
    val varied = expected[0].indices.maxOf { index -> expected.maxOf { it[index] } - expected.minOf { it[index] } }
    return when {
        !values.all { it.isFinite() } -> "are not all numbers"
        values.all { it == 0f } -> "are all zero"
        values.min() < -SUM || values.max() > 1 + SUM -> "do not lie between 0 and 1"
        sums.any { abs(it - 1) > SUM + expected[0].size * step / 2 } -> "do not add up to 1"
        answers.size > 1 && answers.all { it.contentEquals(answers[0]) } && varied > 2 * maxOf(step, LEAST_STEP) ->
            "are the same for every example"
        else -> null
    }
}

/** Says that too much probability is at other classes: of a thousand level ones each differs by next to nothing. */
private fun moved(answers: List<FloatArray>, expected: List<List<Double>>, tolerance: Double): String? {
    val moved = answers.zip(expected) { given, wanted -> wanted.indices.sumOf { abs(given[it] - wanted[it]) } / 2 }.max()
    return if (moved <= MASS * tolerance) null else "give %.2g of the probability to other classes".format(moved)
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
