import Foundation

/// The file that tfkd reads; its encoder writes the keys in snake case, `samples_ms` and so on.
struct ResultsFile: Codable, Equatable {
    static let schemaName = "tfkd-bench-1"

    var schema = schemaName
    let results: [BenchResult]

    func encoded() throws -> Data {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(self)
    }

    static func decoded(_ data: Data) throws -> ResultsFile {
        let file = try snakeCaseDecoder.decode(ResultsFile.self, from: data)
        guard file.schema == schemaName else { throw BenchError("\(file.schema) is not \(schemaName).") }
        return file
    }
}

var snakeCaseDecoder: JSONDecoder {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return decoder
}

/// Cores of one kind.
struct Cores: Codable, Equatable {
    let count: Int
    var maxMhz: Int?
}

/// What changes on a phone while it is measured; nil for what it does not tell.
struct Condition: Codable, Equatable {
    var celsius: Double?
    var thermalStatus: String?
    var battery: Double?
}

/// The phone.
struct Device: Codable, Equatable {
    var maker: String?
    var model: String?
    var soc: String?
    let cores: [Cores]
    let os: String
    let abi: String
    var governor: String?
    var before = Condition()
    var after = Condition()
}

struct RuntimeVersion: Codable, Equatable {
    let name: String
    let version: String
}

struct FileID: Codable, Equatable {
    let path: String
    let sha256: String
}

/// Of one inference, milliseconds.
struct Latency: Codable, Equatable {
    let median: Double
    let p90: Double
    let p99: Double
    let min: Double
}

/// The phone's own answers to the golden images, compared with the bundle's.
struct GoldenCheck: Codable, Equatable {
    var family: String?
    var fault: String?
    let checked: Int
    let maxAbsError: Double
    let tolerance: Double
    let top1Equal: Double
    let passed: Bool
}

/// One file on this phone, on one choice of compute units.
struct BenchResult: Codable, Equatable {
    let target: String
    let device: Device
    let runtime: RuntimeVersion
    let delegate: String
    let artifact: FileID
    let warmup: Int
    let runs: Int
    let samplesMs: [Double]
    let latencyMs: Latency
    let initMs: Double
    let firstInferenceMs: Double
    var peakMemoryMb: Double?
    var golden: GoldenCheck?
    let emulated: Bool
    let rung: String
}

/// What was asked for cannot be done; the description says why, on one line.
struct BenchError: Error, CustomStringConvertible, LocalizedError {
    let description: String

    init(_ description: String) {
        self.description = description
    }

    var errorDescription: String? { description }
}
