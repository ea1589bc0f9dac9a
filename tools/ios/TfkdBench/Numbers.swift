import Foundation

/// The precision that Core ML computes in, as tfkd names it (tfkd/formats), with the largest difference of a
/// probability that passes.
enum Family: String, CaseIterable {
    case float32 = "coreml_fp32"
    case float16 = "coreml_fp16"

    var tolerance: Double { self == .float32 ? 1e-4 : 3e-2 }

    /// What Core ML can compute a file in: a neural network in float16 on anything but the CPU, a program as it says.
    static func accepted(format: String, precision: String, units: ComputeUnits) -> [Family] {
        if format == "mlmodel" { return units == .cpuOnly ? [.float32] : [.float32, .float16] }
        return precision == "fp32" ? [.float32] : [.float16]
    }
}

private let sumError = 0.02
private let mass = 2.0
private let leastStep = 1e-6

/// Says why answers cannot be right, at any tolerance, as tfkd/verification/probabilities.py does; nil where they can.
func fault(_ answers: [[Double]], _ expected: [[Double]]) -> String? {
    let values = answers.flatMap { $0 }
    guard values.allSatisfy(\.isFinite) else { return "are not all numbers" }
    if values.allSatisfy({ $0 == 0 }) { return "are all zero" }
    if !values.allSatisfy({ $0 >= -sumError && $0 <= 1 + sumError }) { return "do not lie between 0 and 1" }
    if answers.contains(where: { abs($0.reduce(0, +) - 1) > sumError }) { return "do not add up to 1" }
    let varied = expected[0].indices.map { index -> Double in
        let column = expected.map { $0[index] }
        return column.max()! - column.min()!
    }
    let constant = answers.count > 1 && answers.allSatisfy { $0 == answers[0] }
    return constant && varied.max()! > 2 * leastStep ? "are the same for every example" : nil
}

/// Says that too much probability is at other classes: of a thousand level ones each differs by next to nothing.
private func moved(_ answers: [[Double]], _ expected: [[Double]], _ tolerance: Double) -> String? {
    let masses = zip(answers, expected).map { given, wanted in zip(given, wanted).map { abs($0 - $1) }.reduce(0, +) / 2 }
    let moved = masses.max() ?? 0
    return moved <= mass * tolerance ? nil : "give \(moved) of the probability to other classes"
}

/// Compares answers with the expected ones, image by image; what is not a number fails.
func compare(
    _ answers: [[Double]], with expected: [[Double]], tolerance: Double, family: Family
) throws -> GoldenCheck {
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
    let fault = fault(answers, expected) ?? moved(answers, expected, tolerance)
    return GoldenCheck(
        family: family.rawValue,
        fault: fault,
        checked: answers.count,
        maxAbsError: error,
        tolerance: tolerance,
        top1Equal: Double(equal) / Double(answers.count),
        passed: fault == nil && error <= tolerance
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
