package org.tfkd.bench

import android.app.Activity
import android.graphics.Typeface
import android.os.Bundle as State
import android.view.WindowManager
import android.widget.Button
import android.widget.LinearLayout
import android.widget.ScrollView
import android.widget.TextView
import java.io.IOException
import kotlin.concurrent.thread
import org.json.JSONException

private const val GAME_LOOP = "com.google.intent.action.TEST_LOOP"

/**
 * Shows the numbers. It measures when its button is pressed, and at once when it is started by a test lab's game loop
 * or with the extra `start`; then it ends by itself. The extras are those of [measure].
 */
class MainActivity : Activity() {
    private lateinit var page: TextView
    private lateinit var button: Button

    override fun onCreate(state: State?) {
        super.onCreate(state)
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        button = Button(this).apply {
            setText("Measure")
            setOnClickListener { start() }
        }
        page = TextView(this).apply {
            setTypeface(Typeface.MONOSPACE)
            setTextIsSelectable(true)
        }
        val scroll = ScrollView(this).apply { addView(page) }
        setContentView(
            LinearLayout(this).apply {
                orientation = LinearLayout.VERTICAL
                fitsSystemWindows = true
                addView(button)
                addView(scroll)
            },
        )
        if (driven()) start() else showLast()
    }

    private fun driven() = intent.action == GAME_LOOP || intent.getBooleanExtra("start", false)

    private fun start() {
        button.isEnabled = false
        thread {
            val shown = try {
                val outcome = measure(this, intent::getStringExtra) { show(it) }
                handOver(outcome)
                table(outcome.results, outcome.skipped)
            } catch (error: BenchException) {
                error.message.orEmpty()
            } catch (error: IOException) {
                error.message.orEmpty()
            }
            show(shown)
            runOnUiThread {
                button.isEnabled = true
                if (driven()) finish()
            }
        }
    }

    /** A test lab takes the results from the file that it names in the intent. */
    private fun handOver(outcome: Outcome) {
        val file = intent.data?.takeIf { intent.action == GAME_LOOP } ?: return
        contentResolver.openOutputStream(file)?.use { it.write(encode(outcome.results).toByteArray()) }
    }

    private fun showLast() {
        val text = try {
            table(decode(Files(this, null).results.readText()), emptyList())
        } catch (_: IOException) {
            "Nothing was measured yet."
        } catch (_: JSONException) {
            "The last results are of another version."
        } catch (error: BenchException) {
            error.message.orEmpty()
        }
        show(text)
    }

    private fun show(text: String) = runOnUiThread { page.text = text }
}

/** Returns the numbers for reading, one file a paragraph. */
fun table(results: List<Result>, skipped: List<Skipped>): String {
    val measured = results.map { result ->
        val latency = result.latencyMs
        val golden = result.golden?.let { if (it.passed) "golden passed" else "GOLDEN FAILED by %.4f".format(it.maxAbsError) }
        "${result.path}\n  ${result.delegate}${result.threads?.let { " $it threads" } ?: ""}: " +
            "median %.2f ms, p90 %.2f, min %.2f, ".format(latency.median, latency.p90, latency.min) +
            "load %.0f, first %.1f\n  ".format(result.initMs, result.firstInferenceMs) +
            (golden ?: "no golden answers")
    }
    return (measured + skipped.map { "${it.path}\n  ${it.delegate}: not run. ${it.reason}" }).joinToString("\n\n")
}
