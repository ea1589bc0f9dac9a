// Runs the parts of the app that need no Android, for the tests: CHECK COMMAND ARGUMENTS.
package org.tfkd.bench

import java.io.File

/** Answers what the bundle expects, off by `error`; a GPU that takes no int8 file, no NPU. */
private class StatedEngine(private val bundle: Bundle, private val error: Float) : Engine {
    override val name = "stated"
    override val version = "1"
    override val cores = 4
    override val delegates = setOf(Delegate.CPU, Delegate.GPU)

    override fun load(artifact: Artifact, delegate: Delegate, threads: Int?): Session {
        if (delegate == Delegate.GPU && artifact.precision == "int8") throw BenchException("It is of integers.")
        return object : Session {
            override fun run() = Thread.sleep(0, 200_000)

            override fun answer(example: Example): FloatArray {
                val golden = bundle.golden.single { given(it, example) }
                val answer = golden.probabilities.getValue(artifact.path).map { it.toFloat() }.toFloatArray()
                answer[0] += error
                return answer
            }

            override fun close() = Unit
        }
    }

    override fun pixels(image: File) = image.readBytes()

    private fun given(golden: GoldenExample, example: Example) = when (example) {
        is Ids -> golden.ids == example.numbers.asList()
        is Pixels -> golden.ids == null && golden.file.readBytes().contentEquals(example.bytes)
    }
}

private object StatedPhone : Phone {
    override val emulated = false

    override fun describe(before: Condition?) = Device(
        maker = "Maker",
        model = "Phone 1",
        soc = "Fast 9",
        cores = listOf(Cores(1, 3000), Cores(3, 2000)),
        os = "Android 15, API 35",
        abi = "arm64-v8a",
        governor = null,
        before = before ?: condition(),
        after = condition(),
    )

    override fun condition() = Condition(31.5, "none", 0.5)

    override fun memoryMeter(): () -> Double? = { 1.5 }
}

private fun measure(folder: String, results: String, error: String, options: Map<String, String>) = try {
    val bundle = readBundle(File(folder))
    val outcome = Bench(bundle, StatedEngine(bundle, error.toFloat()), StatedPhone, options(options::get), ::println).run()
    File(results).writeText(encode(outcome.results))
    outcome.skipped.forEach { println("skipped ${it.path} ${it.delegate}: ${it.reason}") }
} catch (error: BenchException) {
    println("failed: ${error.message}")
}

private fun tolerances() {
    for (delegate in Delegate.entries) {
        for (precision in listOf("fp32", "fp16", "dynamic", "int8", "16x8", "another")) {
            println("${delegate.label} ${delegate.family} $precision ${tolerance(precision, delegate)}")
        }
    }
}

private fun quantize(dtype: String, scale: Float, zeroPoint: Int) {
    val tensor = Tensor(dtype, listOf(256), scale, zeroPoint)
    val bytes = ByteArray(256) { it.toByte() }
    println(asTaken(bytes, tensor).joinToString(" "))
    println(dequantized(bytes, tensor).joinToString(" "))
}

fun main(arguments: Array<String>) {
    when (arguments[0]) {
        "recode" -> println(encode(decode(File(arguments[1]).readText())))
        "tolerances" -> tolerances()
        "tell" -> Teller(::println).run { for (number in 1..arguments[1].toInt()) { tell("sign $number"); Thread.sleep(10) } }
        "quantize" -> quantize(arguments[1], arguments[2].toFloat(), arguments[3].toInt())
        "measure" -> {
            val options = arguments.drop(4).associate { it.substringBefore("=") to it.substringAfter("=") }
            measure(arguments[1], arguments[2], arguments[3], options)
        }
        else -> error("There is no command ${arguments[0]}.")
    }
}
