import XCTest

@testable import TfkdBench

/// Measures the bundle that was copied into the app, as the app does: `xcodebuild test`, or a lab of devices.
final class BundleTests: XCTestCase {
    func testEveryFileRunsAndGivesItsGoldenAnswers() throws {
        let results = try measure(
            places: .standard, engine: CoreMLEngine(), phone: ApplePhone(), say: { print($0) })

        print(table(results))
        XCTAssertFalse(results.isEmpty)
        for result in results {
            XCTAssertEqual(result.samplesMs.count, result.runs)
            XCTAssertNotEqual(result.golden?.passed, false, "\(result.artifact.path) on \(result.delegate)")
        }
        XCTAssertEqual(try ResultsFile.decoded(Data(contentsOf: Places.standard.results)).results, results)
        let attachment = XCTAttachment(contentsOfFile: Places.standard.results)
        attachment.lifetime = .keepAlways
        add(attachment)
    }
}
