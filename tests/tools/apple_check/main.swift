// Runs the parts of the app that need no Apple system, for the tests: CHECK COMMAND ARGUMENTS.
import Foundation

let arguments = CommandLine.arguments

/// Answers what the bundle expects, off by `error`; the neural engine takes no .mlmodel.
struct StatedEngine: Engine {
    let golden: [GoldenExample]
    let error: Double
    let runtime = RuntimeVersion(name: "stated", version: "1")

    func load(_ artifact: Artifact, classes: [String], units: ComputeUnits) throws -> Session {
        if units == .cpuAndNeuralEngine && artifact.path.hasSuffix(".mlmodel") {
            throw BenchError("\(artifact.path) is too old.")
        }
        return StatedSession(path: artifact.path, golden: golden, error: error)
    }
}

struct StatedSession: Session {
    let path: String
    let golden: [GoldenExample]
    let error: Double

    func run() throws { usleep(200) }

    func answer(_ example: GoldenExample) throws -> [Double] {
        var answer = golden.first { $0.url == example.url && $0.ids == example.ids }!.probabilities[path]!
        answer[0] += error
        return answer
    }
}

struct StatedPhone: Phone {
    let emulated = false

    func describe() -> Device {
        Device(maker: "Apple", model: "iPhone17,1", cores: [Cores(count: 6)], os: "iOS 18.0.0", abi: "arm64")
    }

    func condition() -> Condition { Condition(thermalStatus: "nominal", battery: 0.5) }

    func memoryMeter() -> () -> Double? { { nil } }
}

switch arguments[1] {
case "recode":
    let file = try ResultsFile.decoded(Data(contentsOf: URL(fileURLWithPath: arguments[2])))
    FileHandle.standardOutput.write(try file.encoded())
case "tolerances":
    for units in ComputeUnits.allCases {
        for (format, precision) in [("mlmodel", "fp32"), ("mlpackage", "fp32"), ("mlpackage", "int8")] {
            for family in Family.accepted(format: format, precision: precision, units: units) {
                print(units.rawValue, format, precision, family.rawValue, family.tolerance)
            }
        }
    }
case "measure":
    let places = Places(documents: URL(fileURLWithPath: arguments[2]))
    let golden = (try? ModelBundle(folder: places.bundle))?.golden ?? []
    let engine = StatedEngine(golden: golden, error: Double(arguments[3])!)
    do {
        print(table(try measure(places: places, engine: engine, phone: StatedPhone(), say: { print($0) })))
    } catch {
        print("failed: \(error)")
    }
default:
    fatalError("There is no command \(arguments[1]).")
}
