import Foundation

/// What Core ML may use; the names are those of MLComputeUnits.
enum ComputeUnits: String, Codable, CaseIterable {
    case cpuOnly, cpuAndGPU, cpuAndNeuralEngine, all
}

/// How to measure: Documents/parameters.json. What is missing there keeps its default.
struct Parameters: Decodable, Equatable {
    var runs = 100
    var warmup = 10
    var computeUnits = ComputeUnits.allCases

    enum CodingKeys: CodingKey {
        case runs, warmup, computeUnits
    }

    init() {}

    init(from decoder: Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        runs = try values.decodeIfPresent(Int.self, forKey: .runs) ?? runs
        warmup = try values.decodeIfPresent(Int.self, forKey: .warmup) ?? warmup
        computeUnits = try values.decodeIfPresent([ComputeUnits].self, forKey: .computeUnits) ?? computeUnits
        guard runs >= 1, warmup >= 0, !computeUnits.isEmpty else {
            throw BenchError("The parameters need runs from 1 on, warmup from 0 on, and compute units.")
        }
    }

    /// Reads parameters; a file that is not there stands for the defaults.
    static func read(_ url: URL) throws -> Parameters {
        guard FileManager.default.fileExists(atPath: url.path) else { return Parameters() }
        do {
            return try snakeCaseDecoder.decode(Parameters.self, from: Data(contentsOf: url))
        } catch let error as BenchError {
            throw error
        } catch {
            throw BenchError("\(url.lastPathComponent) cannot be read: \(error)")
        }
    }
}

/// A file that is ready to run.
protocol Session {
    /// Runs one inference.
    func run() throws

    /// Returns the probabilities of one example, in the order of the classes.
    func answer(_ example: GoldenExample) throws -> [Double]
}

/// The runtime of a phone.
protocol Engine {
    var runtime: RuntimeVersion { get }

    /// Throws a `BenchError` where these units do not take the file.
    func load(_ artifact: Artifact, classes: [String], units: ComputeUnits) throws -> Session
}

/// The phone around the runtime.
protocol Phone {
    var emulated: Bool { get }

    func describe() -> Device
    func condition() -> Condition

    /// Returns a meter of what the process's memory gains at its peak from now on, MB; nil where it cannot be known.
    func memoryMeter() -> () -> Double?
}

/// What these compute units did not take.
struct Skipped: Codable, Equatable {
    let path: String
    let delegate: String
    let reason: String
}

/// Measures the Core ML files of a bundle on every choice of compute units that was asked for.
final class Bench {
    private let bundle: ModelBundle
    private let engine: Engine
    private let phone: Phone
    private let parameters: Parameters
    private let say: (String) -> Void
    private(set) var skipped: [Skipped] = []

    init(
        bundle: ModelBundle,
        engine: Engine,
        phone: Phone,
        parameters: Parameters,
        say: @escaping (String) -> Void
    ) {
        self.bundle = bundle
        self.engine = engine
        self.phone = phone
        self.parameters = parameters
        self.say = say
    }

    /// Throws a `BenchError` where a file does not run on the CPU.
    func run() throws -> [BenchResult] {
        var device = phone.describe()
        device.before = phone.condition()
        let measured = try parameters.computeUnits.flatMap(measure)
        device.after = phone.condition()
        return measured.map { result($0, device) }
    }

    /// Measures all files on the same units, in turn, so that a slow second of the phone strikes all of them alike.
    private func measure(_ units: ComputeUnits) throws -> [Measured] {
        let ready = try bundle.artifacts.compactMap { try prepare($0, units) }
        let what = "timing on \(units.rawValue)"
        say(what)
        let teller = Teller { self.say("\(what), \($0)") }
        let warmup = try settle(ready, window: parameters.warmup, teller: teller)
        try alternate(ready, rounds: parameters.runs, teller: teller)
        ready.forEach { $0.warmup = warmup }
        return ready
    }

    private func prepare(_ artifact: Artifact, _ units: ComputeUnits) throws -> Measured? {
        say("loading \(artifact.path) on \(units.rawValue)")
        let gained = phone.memoryMeter()
        do {
            let (session, loading) = try timed { try engine.load(artifact, classes: bundle.classes, units: units) }
            let (_, first) = try timed { try session.run() }
            return Measured(
                artifact: artifact,
                units: units,
                session: session,
                initMs: loading,
                firstMs: first,
                peakMemoryMb: gained(),
                golden: try check(artifact, units, session)
            )
        } catch let error as BenchError where units != .cpuOnly {
            skipped.append(Skipped(path: artifact.path, delegate: units.rawValue, reason: error.description))
            return nil
        }
    }

    private func check(_ artifact: Artifact, _ units: ComputeUnits, _ session: Session) throws -> GoldenCheck? {
        let accepted = Family.accepted(format: artifact.format, precision: artifact.precision, units: units)
        let wanted = accepted.map { family in
            (family, bundle.golden.compactMap { $0.answers(of: family, path: artifact.path) })
        }
        guard !bundle.golden.isEmpty, wanted.allSatisfy({ $0.1.count == bundle.golden.count }) else { return nil }
        let answers = try bundle.golden.map { try session.answer($0) }
        let compared = try wanted.map { family, expected in
            let allowed = min(family.tolerance, artifact.tolerances[family.rawValue] ?? 1)
            return try compare(answers, with: expected, tolerance: allowed, family: family)
        }
        return compared.first { $0.passed } ?? compared.last
    }

    private func result(_ measured: Measured, _ device: Device) -> BenchResult {
        BenchResult(
            target: "ios",
            device: device,
            runtime: engine.runtime,
            delegate: measured.units.rawValue,
            artifact: FileID(path: measured.artifact.path, sha256: measured.artifact.sha256),
            warmup: measured.warmup,
            runs: measured.samples.count,
            samplesMs: measured.samples,
            latencyMs: summary(measured.samples),
            initMs: measured.initMs,
            firstInferenceMs: measured.firstMs,
            peakMemoryMb: measured.peakMemoryMb,
            golden: measured.golden,
            emulated: phone.emulated,
            rung: phone.emulated ? "virtual device" : "device"
        )
    }
}

private final class Measured {
    let artifact: Artifact
    let units: ComputeUnits
    let session: Session
    let initMs: Double
    let firstMs: Double
    let peakMemoryMb: Double?
    let golden: GoldenCheck?
    var samples: [Double] = []
    var warmup = 0

    init(
        artifact: Artifact,
        units: ComputeUnits,
        session: Session,
        initMs: Double,
        firstMs: Double,
        peakMemoryMb: Double?,
        golden: GoldenCheck?
    ) {
        self.artifact = artifact
        self.units = units
        self.session = session
        self.initMs = initMs
        self.firstMs = firstMs
        self.peakMemoryMb = peakMemoryMb
        self.golden = golden
    }
}

/// Passes signs of life on, one a second at most: they cost time between the timed calls.
private final class Teller {
    private let say: (String) -> Void
    private var last = DispatchTime.now().uptimeNanoseconds

    init(say: @escaping (String) -> Void) {
        self.say = say
    }

    func tell(_ text: String) {
        let now = DispatchTime.now().uptimeNanoseconds
        guard now - last >= 1_000_000_000 else { return }
        last = now
        say(text)
    }
}

private let steady = 0.05
private let longestWarmup = 10

/// Runs files in turn until none becomes 5 % faster any more from one window to the next; returns the rounds.
private func settle(_ ready: [Measured], window: Int, teller: Teller) throws -> Int {
    guard window > 0 else { return 0 }
    var previous: [Double]?
    for windows in 1...longestWarmup {
        var durations = [[Double]](repeating: [], count: ready.count)
        for _ in 0..<window {
            for (index, each) in ready.enumerated() {
                durations[index].append(try timed(each.session.run).1)
                teller.tell("warm-up")
            }
        }
        let medians = durations.map { quantile($0.sorted(), 0.5) }
        if let previous, zip(previous, medians).allSatisfy({ $1 >= (1 - steady) * $0 }) { return windows * window }
        previous = medians
    }
    return longestWarmup * window
}

/// Times files in turn, in an order drawn anew every round; the untimed run brings the weights back into the caches.
private func alternate(_ ready: [Measured], rounds: Int, teller: Teller) throws {
    var draw = SplitMix64(state: 0)
    for round in 1...max(1, rounds) {
        for each in ready.shuffled(using: &draw) {
            try each.session.run()
            each.samples.append(try timed(each.session.run).1)
            teller.tell("round \(round) of \(rounds)")
        }
    }
}

/// The generator of Steele, Lea & Flood 2014: Swift's own cannot be seeded.
private struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

private func timed<Value>(_ work: () throws -> Value) rethrows -> (Value, Double) {
    let start = DispatchTime.now().uptimeNanoseconds
    let value = try work()
    return (value, Double(DispatchTime.now().uptimeNanoseconds - start) / 1e6)
}
