import Foundation

/// What a run leaves beside the results: `state` is done or failed.
struct Status: Codable, Equatable {
    let state: String
    var error: String?
    var skipped: [Skipped] = []
}

/// The files of the app, in the folder that Finder, Files and `devicectl` reach.
struct Places {
    let documents: URL

    static let standard = Places(
        documents: FileManager.default.urls(for: .documentDirectory, in: .userDomainMask)[0]
    )

    var bundle: URL { documents.appendingPathComponent("bundle") }
    var parameters: URL { documents.appendingPathComponent("parameters.json") }
    var results: URL { documents.appendingPathComponent("results.json") }

    /// Written last.
    var status: URL { documents.appendingPathComponent("status.json") }
}

/// Measures Documents/bundle, or else the app's own `bundle` folder, and writes results.json and status.json.
///
/// Throws a `BenchError`, which status.json names too.
func measure(places: Places, engine: Engine, phone: Phone, say: @escaping (String) -> Void) throws -> [BenchResult] {
    for old in [places.results, places.status] where FileManager.default.fileExists(atPath: old.path) {
        try FileManager.default.removeItem(at: old)
    }
    do {
        let bench = Bench(
            bundle: try ModelBundle(folder: try bundleFolder(places)),
            engine: engine,
            phone: phone,
            parameters: try Parameters.read(places.parameters),
            say: say
        )
        let results = try bench.run()
        try ResultsFile(results: results).encoded().write(to: places.results, options: .atomic)
        try write(Status(state: "done", skipped: bench.skipped), to: places.status)
        return results
    } catch {
        try write(Status(state: "failed", error: "\(error)"), to: places.status)
        throw error
    }
}

private func bundleFolder(_ places: Places) throws -> URL {
    if FileManager.default.fileExists(atPath: places.bundle.path) { return places.bundle }
    guard let own = Bundle.main.url(forResource: "bundle", withExtension: nil) else {
        throw BenchError("There is no bundle in the app's documents, and none in the app.")
    }
    return own
}

private func write(_ status: Status, to url: URL) throws {
    try JSONEncoder().encode(status).write(to: url, options: .atomic)
}

/// Returns the numbers for reading, one file a paragraph.
func table(_ results: [BenchResult]) -> String {
    results.map { result in
        let latency = result.latencyMs
        let golden = result.golden.map {
            $0.passed ? "golden passed" : String(format: "GOLDEN FAILED by %.4f", $0.maxAbsError)
        }
        let numbers = String(
            format: "median %.2f ms, p90 %.2f, min %.2f, load %.0f, first %.1f",
            latency.median, latency.p90, latency.min, result.initMs, result.firstInferenceMs
        )
        return "\(result.artifact.path)\n  \(result.delegate): \(numbers)\n  \(golden ?? "no golden answers")"
    }.joined(separator: "\n\n")
}
