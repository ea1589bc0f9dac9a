package org.tfkd.bench

import android.content.Context
import android.content.Intent
import android.content.IntentFilter
import android.os.BatteryManager
import android.os.Build
import android.os.PowerManager
import java.io.File
import java.io.IOException

private const val KIB_IN_MB = 1024 / 1e6
private val THERMAL = listOf("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")

/** What Android tells an app about the phone. */
class AndroidPhone(private val context: Context) : Phone {
    override val emulated = Build.HARDWARE in listOf("ranchu", "goldfish", "cutf_cvm")

    override fun describe(before: Condition?): Device {
        val now = condition()
        return Device(
            maker = Build.MANUFACTURER,
            model = Build.MODEL,
            soc = if (Build.VERSION.SDK_INT >= 31) "${Build.SOC_MANUFACTURER} ${Build.SOC_MODEL}" else Build.HARDWARE,
            cores = cores(),
            os = "Android ${Build.VERSION.RELEASE}, API ${Build.VERSION.SDK_INT}",
            abi = Build.SUPPORTED_ABIS.first(),
            governor = text(File(PROCESSORS, "cpu0/cpufreq/scaling_governor")),
            before = before ?: now,
            after = now,
        )
    }

    /** The battery's sensor is the only one that an app may read. */
    override fun condition(): Condition {
        val battery = context.registerReceiver(null, IntentFilter(Intent.ACTION_BATTERY_CHANGED))
        val tenths = battery?.getIntExtra(BatteryManager.EXTRA_TEMPERATURE, UNKNOWN) ?: UNKNOWN
        val level = battery?.getIntExtra(BatteryManager.EXTRA_LEVEL, UNKNOWN) ?: UNKNOWN
        val full = battery?.getIntExtra(BatteryManager.EXTRA_SCALE, UNKNOWN) ?: UNKNOWN
        return Condition(
            celsius = if (tenths == UNKNOWN) null else tenths / 10.0,
            thermalStatus = thermalStatus(),
            battery = if (level < 0 || full <= 0) null else level / full.toDouble(),
        )
    }

    /** Linux can forget the peak so far; where an app may not ask for that, only a new peak tells. */
    override fun memoryMeter(): () -> Double? {
        try {
            File("/proc/self/clear_refs").writeText("5")
        } catch (_: IOException) {
            // The old peak stays.
        }
        val now = memory("VmRSS")
        val oldPeak = memory("VmHWM")
        return {
            val peak = memory("VmHWM")
            if (now == null || oldPeak == null || peak == null || peak <= oldPeak) null else peak - now
        }
    }

    private fun thermalStatus(): String? {
        if (Build.VERSION.SDK_INT < 29) return null
        val power = context.getSystemService(Context.POWER_SERVICE) as PowerManager
        return THERMAL.getOrNull(power.currentThermalStatus)
    }

    private fun cores(): List<Cores> {
        val processors = File(PROCESSORS).listFiles { file -> file.name.matches(Regex("cpu[0-9]+")) }.orEmpty()
        val speeds = processors.groupingBy { text(it.resolve("cpufreq/cpuinfo_max_freq"))?.toIntOrNull() }.eachCount()
        if (speeds.isEmpty()) return listOf(Cores(Runtime.getRuntime().availableProcessors(), null))
        return speeds.entries.sortedByDescending { it.key ?: 0 }.map { (khz, count) -> Cores(count, khz?.div(1000)) }
    }

    private fun memory(field: String): Double? {
        val line = text(File("/proc/self/status"))?.lineSequence()?.find { it.startsWith("$field:") } ?: return null
        return line.filter(Char::isDigit).toDoubleOrNull()?.times(KIB_IN_MB)
    }

    private fun text(file: File): String? = try {
        file.readText().trim().ifEmpty { null }
    } catch (_: IOException) {
        null
    }

    private companion object {
        const val PROCESSORS = "/sys/devices/system/cpu"
        const val UNKNOWN = Int.MIN_VALUE
    }
}
