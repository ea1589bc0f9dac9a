import Foundation

// As tfkd has them: floats may be summed in another order.
private let tolerances = ["fp32": 1e-3, "fp16": 1e-2, "dynamic": 2e-2, "int8": 2.0 / 256]
private let loosest = 2e-2
// A processor for graphics or networks computes in float16, whatever the file holds.
private let accelerated = 1e-2

/// Returns the largest difference of a probability that passes.
func tolerance(precision: String, units: ComputeUnits) -> Double {
    let stated = tolerances[precision] ?? loosest
    return units == .cpuOnly ? stated : max(stated, accelerated)
}

/// Compares answers with the expected ones, image by image; what is not a number fails.
func compare(_ answers: [[Double]], with expected: [[Double]], tolerance: Double) throws -> GoldenCheck {
    var error = 0.0
    var equal = 0
    for (given, wanted) in zip(answers, expected) {
        guard given.count == wanted.count else {
            throw BenchError("The file gives \(given.count) classes, not \(wanted.count).")
        }
        let differences = zip(given, wanted).map { abs($0 - $1) }
        error = max(error, differences.map { $0.isFinite ? $0 : 1 }.max() ?? 0)
        equal += first(given) == first(wanted) ? 1 : 0
    }
    return GoldenCheck(
        checked: answers.count,
        maxAbsError: error,
        tolerance: tolerance,
        top1Equal: Double(equal) / Double(answers.count),
        passed: error <= tolerance
    )
}

private func first(_ probabilities: [Double]) -> Int? {
    probabilities.indices.max { probabilities[$0] < probabilities[$1] }
}

/// Returns quantiles by linear interpolation (Hyndman & Fan 1996, type 7) of at least one sample.
func summary(_ samples: [Double]) -> Latency {
    let sorted = samples.sorted()
    return Latency(
        median: quantile(sorted, 0.5),
        p90: quantile(sorted, 0.9),
        p99: quantile(sorted, 0.99),
        min: sorted[0]
    )
}

func quantile(_ sorted: [Double], _ share: Double) -> Double {
    let position = share * Double(sorted.count - 1)
    let below = sorted[Int(position.rounded(.down))]
    let above = sorted[Int(position.rounded(.up))]
    return below + (above - below) * (position - position.rounded(.down))
}
