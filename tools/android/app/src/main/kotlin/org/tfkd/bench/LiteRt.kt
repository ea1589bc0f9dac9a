package org.tfkd.bench

import android.content.Context
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.BuiltinNpuAcceleratorProvider
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.Environment
import com.google.ai.edge.litert.LiteRtException
import com.google.ai.edge.litert.TensorBuffer
import java.io.File
import java.util.Random

/** LiteRT as it is packed into this app. */
class LiteRt(context: Context) : Engine, AutoCloseable {
    private val environment = Environment.create(BuiltinNpuAcceleratorProvider(context))
    private val libraries = File(context.applicationInfo.nativeLibraryDir).list().orEmpty()

    override val name = "LiteRT"
    override val version = BuildConfig.LITERT_VERSION
    override val cores = Runtime.getRuntime().availableProcessors()
    override val delegates = Delegate.entries.filterTo(mutableSetOf(), ::present)

    private fun present(delegate: Delegate): Boolean {
        val known = accelerator(delegate) in environment.getAvailableAccelerators()
        // LiteRT adds the CPU to a lone NPU. Without the vendor's libraries the CPU would run it all, under a false name.
        return known && (delegate != Delegate.NPU || NPU_LIBRARIES.all { part -> libraries.any { it.startsWith(part) } })
    }

    override fun load(artifact: Artifact, delegate: Delegate, threads: Int?): Session = attempt(artifact, delegate) {
        // One accelerator alone: with the CPU beside it LiteRT falls back in silence.
        val options = CompiledModel.Options(accelerator(delegate))
        if (delegate == Delegate.CPU) options.cpuOptions = CompiledModel.CpuOptions(numThreads = threads)
        val model = CompiledModel.create(artifact.file.path, options, environment)
        try {
            LiteRtSession(artifact, delegate, model)
        } catch (error: LiteRtException) {
            model.close()
            throw error
        }
    }

    override fun pixels(image: File): ByteArray {
        val raw = BitmapFactory.Options().apply {
            inScaled = false
            inPremultiplied = false
            inPreferredConfig = Bitmap.Config.ARGB_8888
        }
        val bitmap = BitmapFactory.decodeFile(image.path, raw) ?: throw BenchException("$image is no image.")
        val colours = IntArray(bitmap.width * bitmap.height)
        bitmap.getPixels(colours, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
        bitmap.recycle()
        return ByteArray(3 * colours.size) { index -> (colours[index / 3] shr (16 - 8 * (index % 3))).toByte() }
    }

    override fun close() = environment.close()

    private companion object {
        val NPU_LIBRARIES = listOf("libLiteRtDispatch", "libLiteRtCompilerPlugin")
    }
}

private class LiteRtSession(
    private val artifact: Artifact,
    private val delegate: Delegate,
    private val model: CompiledModel,
) : Session {
    private val inputs: List<TensorBuffer> = model.createInputBuffers()
    private val outputs: List<TensorBuffer> = model.createOutputBuffers()

    init {
        write(random(artifact.input))
    }

    override fun run() = attempt(artifact, delegate) { model.run(inputs, outputs) }

    override fun answer(example: Example): FloatArray = attempt(artifact, delegate) {
        write(example)
        model.run(inputs, outputs)
        val tensor = artifact.output
        if (tensor.dtype == FLOAT) outputs.single().readFloat() else dequantized(outputs.single().readInt8(), tensor)
    }

    private fun write(example: Example) = when (example) {
        is Ids -> inputs.first().writeInt(example.numbers) // the model does not read mask and segment ids
        is Pixels -> write(example.bytes)
    }

    private fun write(pixels: ByteArray) {
        val input = inputs.single()
        if (artifact.input.dtype == FLOAT) {
            input.writeFloat(FloatArray(pixels.size) { (pixels[it].toInt() and 0xFF).toFloat() })
        } else {
            input.writeInt8(asTaken(pixels, artifact.input))
        }
    }

    override fun close() {
        (inputs + outputs).forEach { it.close() }
        model.close()
    }

    private companion object {
        const val FLOAT = "float32"
        const val LEAST_PIECES = 4 // of a vocabulary

        fun random(input: Tensor): Example {
            val (draw, size) = Random(0) to input.shape.reduce(Int::times)
            return if (input.dtype == IDS) {
                Ids(IntArray(size) { draw.nextInt(LEAST_PIECES) })
            } else {
                Pixels(ByteArray(size).also(draw::nextBytes))
            }
        }
    }
}

private fun accelerator(delegate: Delegate) = when (delegate) {
    Delegate.CPU -> Accelerator.CPU
    Delegate.GPU -> Accelerator.GPU
    Delegate.NPU -> Accelerator.NPU
}

private inline fun <T> attempt(artifact: Artifact, delegate: Delegate, work: () -> T): T = try {
    work()
} catch (error: LiteRtException) {
    throw BenchException("${artifact.path} does not run on ${delegate.option}: ${error.message}")
}
