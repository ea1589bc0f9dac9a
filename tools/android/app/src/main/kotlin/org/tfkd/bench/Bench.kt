package org.tfkd.bench

import java.io.File
import java.util.Random

/** What can run a graph; `label` names it in results, `option` where it is asked for. */
/** What runs a graph; `family` is tfkd's name of the runtimes that compute alike (tfkd/formats). */
enum class Delegate(val label: String, val option: String, val family: String) {
    CPU("xnnpack", "cpu", "xnnpack"),
    GPU("gpu", "gpu", "litert_gpu"),
    NPU("npu", "npu", "litert_npu"),
}

const val ALL_CORES = 0

/** How to measure. */
data class Options(
    val runs: Int = 100,
    val warmup: Int = 10,
    val threads: List<Int> = listOf(1, ALL_CORES),
    val delegates: List<Delegate> = Delegate.entries,
)

/**
 * Reads the options that intents and test runners hand over as text; what is missing keeps its default.
 *
 * @throws BenchException a value is none of its kind.
 */
fun options(text: (String) -> String?): Options {
    val standard = Options()
    return Options(
        text("runs")?.let { number("runs", it, 1) } ?: standard.runs,
        text("warmup")?.let { number("warmup", it, 0) } ?: standard.warmup,
        text("threads")?.let { list -> list.split(",").map { number("threads", it, 0) } } ?: standard.threads,
        text("delegates")?.let { list -> list.split(",").map(::delegate) } ?: standard.delegates,
    )
}

private fun number(name: String, text: String, least: Int) =
    text.trim().toIntOrNull()?.takeIf { it >= least }
        ?: throw BenchException("$name is $text; it must be a whole number from $least on.")

private fun delegate(text: String) =
    Delegate.entries.find { it.option == text.trim() }
        ?: throw BenchException("There is no delegate $text. There are ${Delegate.entries.joinToString { it.option }}.")

/** What a file takes. */
sealed interface Example

/** Raw RGB bytes of an image, row by row. */
class Pixels(val bytes: ByteArray) : Example

/** The ids of a text's pieces. */
class Ids(val numbers: IntArray) : Example

/** A file that is ready to run. */
interface Session : AutoCloseable {
    /** Runs one inference on what stands in the input. */
    fun run()

    /** Returns the probabilities of one example. */
    fun answer(example: Example): FloatArray
}

/** The runtime of a phone. */
interface Engine {
    val name: String
    val version: String
    val cores: Int

    /** What this phone can run graphs on. */
    val delegates: Set<Delegate>

    /** @throws BenchException the delegate does not take the file. */
    fun load(artifact: Artifact, delegate: Delegate, threads: Int?): Session

    /** Returns the raw RGB bytes of a PNG, row by row. */
    fun pixels(image: File): ByteArray
}

/** The phone around the runtime. */
interface Phone {
    val emulated: Boolean

    /** Returns the phone in the condition of now. */
    fun describe(before: Condition?): Device

    fun condition(): Condition

    /** Returns a meter of what the process's memory gains at its peak from now on, MB; null where it cannot be known. */
    fun memoryMeter(): () -> Double?
}

/** What a GPU or NPU did not take. */
data class Skipped(val path: String, val delegate: String, val reason: String)

data class Outcome(val results: List<Result>, val skipped: List<Skipped>)

/** Measures the files of a bundle on everything that was asked for and is there. */
class Bench(
    private val bundle: Bundle,
    private val engine: Engine,
    private val phone: Phone,
    private val options: Options,
    private val say: (String) -> Unit,
) {
    private val skipped = mutableListOf<Skipped>()
    private val examples by lazy {
        bundle.golden.map { each -> each.ids?.let { Ids(it.toIntArray()) } ?: Pixels(engine.pixels(each.file)) }
    }

    /** @throws BenchException a file does not run on the CPU, or nothing that was asked for is there. */
    fun run(): Outcome {
        val before = phone.condition()
        val delegates = options.delegates.filter { it in engine.delegates }
        if (delegates.isEmpty()) throw BenchException("This phone has none of ${options.delegates.joinToString { it.option }}.")
        val measured = delegates.flatMap { delegate -> threadCounts(delegate).flatMap { measure(delegate, it) } }
        val device = phone.describe(before)
        return Outcome(measured.map { it.result(device) }, skipped)
    }

    private fun threadCounts(delegate: Delegate): List<Int?> =
        if (delegate == Delegate.CPU) {
            options.threads.map { if (it == ALL_CORES) engine.cores else it }.distinct().sorted()
        } else {
            listOf(null)
        }

    /** Measures all files on one delegate, in turn, so that a slow second of the phone strikes all of them alike. */
    private fun measure(delegate: Delegate, threads: Int?): List<Measured> {
        val ready = mutableListOf<Measured>()
        try {
            for (artifact in bundle.artifacts) prepare(artifact, delegate, threads)?.let(ready::add)
            val what = "timing on ${delegate.option}${threads?.let { ", $it threads" } ?: ""}"
            say(what)
            val tell = Teller { say("$what, $it") }
            val warmup = settle(ready, options.warmup, tell)
            alternate(ready, options.runs, tell)
            return ready.onEach { it.warmup = warmup }
        } finally {
            ready.forEach { it.session.close() }
        }
    }

    private fun prepare(artifact: Artifact, delegate: Delegate, threads: Int?): Measured? {
        say("loading ${artifact.path} on ${delegate.option}")
        val gained = phone.memoryMeter()
        val start = System.nanoTime()
        val session = try {
            engine.load(artifact, delegate, threads)
        } catch (error: BenchException) {
            if (delegate == Delegate.CPU) throw error
            skipped.add(Skipped(artifact.path, delegate.option, error.message.orEmpty()))
            return null
        }
        return try {
            val loaded = System.nanoTime()
            session.run()
            val first = System.nanoTime()
            val golden = check(artifact, delegate, session)
            Measured(artifact, delegate, threads, session, (loaded - start) / 1e6, (first - loaded) / 1e6, gained(), golden)
        } catch (error: BenchException) {
            session.close()
            throw error
        }
    }

    private fun check(artifact: Artifact, delegate: Delegate, session: Session): Golden? {
        val expected = bundle.golden.map { it.answers(delegate.family, artifact.path) ?: return null }
        if (expected.isEmpty()) return null
        val allowed = minOf(tolerance(artifact.precision, delegate), artifact.tolerances[delegate.family] ?: 1.0)
        val step = artifact.output.scale?.toDouble() ?: 0.0
        return compare(examples.map(session::answer), expected, allowed, delegate.family, step)
    }

    private inner class Measured(
        val artifact: Artifact,
        val delegate: Delegate,
        val threads: Int?,
        val session: Session,
        val initMs: Double,
        val firstMs: Double,
        val peakMemoryMb: Double?,
        val golden: Golden?,
    ) : Timed {
        override val samples = mutableListOf<Double>()
        var warmup = 0

        override fun call() = session.run()

        fun result(device: Device) = Result(
            device,
            engine.name,
            engine.version,
            delegate.label,
            artifact.path,
            artifact.sha256,
            threads,
            warmup,
            samples,
            summary(samples),
            initMs,
            firstMs,
            peakMemoryMb,
            golden,
            phone.emulated,
        )
    }
}

/** A call with the milliseconds that it took. */
internal interface Timed {
    val samples: MutableList<Double>

    fun call()
}

private const val STEADY = 0.05
private const val LONGEST_WARMUP = 10

/** Passes signs of life on, one a second at most: they cost time between the timed calls. */
internal class Teller(private val say: (String) -> Unit) {
    private var last = System.nanoTime()

    fun tell(text: String) {
        val now = System.nanoTime()
        if (now - last < 1e9) return
        last = now
        say(text)
    }
}

/** Runs calls in turn until none becomes 5 % faster any more from one window to the next; returns the rounds. */
internal fun settle(calls: List<Timed>, window: Int, teller: Teller): Int {
    if (window == 0) return 0
    var previous: List<Double>? = null
    for (windows in 1..LONGEST_WARMUP) {
        val rounds = List(window) { round ->
            calls.map { call ->
                teller.tell("warm-up ${(windows - 1) * window + round + 1}")
                milliseconds(call::call)
            }
        }
        val medians = calls.indices.map { call -> quantile(rounds.map { it[call] }.sorted(), 0.5) }
        if (previous?.zip(medians)?.all { (before, now) -> now >= (1 - STEADY) * before } == true) return windows * window
        previous = medians
    }
    return LONGEST_WARMUP * window
}

/** Times calls in turn, in an order drawn anew every round; the untimed one brings the weights back into the caches. */
internal fun alternate(calls: List<Timed>, rounds: Int, teller: Teller) {
    val draw = Random(0)
    repeat(rounds) { round ->
        for (call in calls.shuffled(draw)) {
            teller.tell("round ${round + 1} of $rounds")
            call.call()
            call.samples.add(milliseconds(call::call))
        }
    }
}

private fun milliseconds(call: () -> Unit): Double {
    val start = System.nanoTime()
    call()
    return (System.nanoTime() - start) / 1e6
}
