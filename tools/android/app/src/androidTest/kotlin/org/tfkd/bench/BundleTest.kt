package org.tfkd.bench

import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith

/** Measures the bundle as the app does, for test labs that run instrumentation; `-e runs 50` and so on set options. */
@RunWith(AndroidJUnit4::class)
class BundleTest {
    @Test
    fun everyFileRunsAndGivesItsGoldenAnswers() {
        val arguments = InstrumentationRegistry.getArguments()
        val context = InstrumentationRegistry.getInstrumentation().targetContext
        val outcome = measure(context, arguments::getString) { println(it) }

        println(table(outcome.results, outcome.skipped))
        assertTrue("nothing was measured", outcome.results.isNotEmpty())
        val failed = outcome.results.filter { it.golden?.passed == false }.map { "${it.path} on ${it.delegate}" }
        assertEquals("golden answers", emptyList<String>(), failed)
        assertEquals(outcome.results, decode(Files(context, arguments.getString("results")).results.readText()))
    }
}
