import CoreML
import Foundation

/// Core ML as it comes with the system.
struct CoreMLEngine: Engine {
    let runtime = RuntimeVersion(name: "Core ML", version: ProcessInfo.processInfo.operatingSystemVersionString)

    func load(_ artifact: Artifact, classes: [String], units: ComputeUnits) throws -> Session {
        do {
            let compiled = try MLModel.compileModel(at: artifact.url)
            defer { try? FileManager.default.removeItem(at: compiled) }
            let configuration = MLModelConfiguration()
            configuration.computeUnits = units.coreML
            let model = try MLModel(contentsOf: compiled, configuration: configuration)
            return try CoreMLSession(artifact: artifact, model: model, classes: classes)
        } catch let error as BenchError {
            throw error
        } catch {
            throw BenchError("\(artifact.path) does not load on \(units.rawValue): \(error.localizedDescription)")
        }
    }
}

extension ComputeUnits {
    fileprivate var coreML: MLComputeUnits {
        switch self {
        case .cpuOnly: return .cpuOnly
        case .cpuAndGPU: return .cpuAndGPU
        case .cpuAndNeuralEngine: return .cpuAndNeuralEngine
        case .all: return .all
        }
    }
}

private final class CoreMLSession: Session {
    private let path: String
    private let model: MLModel
    private let classes: [String]
    private let input: String
    private let constraint: Constraint
    private let probabilities: String
    private let blank: MLFeatureProvider

    init(artifact: Artifact, model: MLModel, classes: [String]) throws {
        let description = model.modelDescription
        guard let (name, feature) = description.inputDescriptionsByName.first,
            description.inputDescriptionsByName.count == 1,
            let constraint = Constraint(feature),
            let probabilities = description.predictedProbabilitiesName
        else { throw BenchError("\(artifact.path) is no classifier of one image or text.") }
        path = artifact.path
        self.model = model
        self.classes = classes
        input = name
        self.constraint = constraint
        self.probabilities = probabilities
        blank = try provider(name, constraint.blank())
    }

    func run() throws {
        _ = try predict(blank)
    }

    func answer(_ example: GoldenExample) throws -> [Double] {
        let value = try attempt("\(example.url.lastPathComponent) cannot be read") { try constraint.value(example) }
        let given = try predict(provider(input, value)).featureValue(for: probabilities)?.dictionaryValue ?? [:]
        return try classes.map { name in
            guard let probability = given[name] else { throw BenchError("\(path) has no class \(name).") }
            return probability.doubleValue
        }
    }

    private func predict(_ features: MLFeatureProvider) throws -> MLFeatureProvider {
        try attempt("\(path) does not run") { try model.prediction(from: features) }
    }
}

/// What a file takes: an image, or the ids of a text.
private enum Constraint {
    case image(MLImageConstraint)
    case ids([NSNumber])

    init?(_ feature: MLFeatureDescription) {
        if let image = feature.imageConstraint {
            self = .image(image)
        } else if let array = feature.multiArrayConstraint, array.dataType == .int32 {
            self = .ids(array.shape)
        } else {
            return nil
        }
    }

    func blank() throws -> MLFeatureValue {
        switch self {
        case .image(let constraint): return MLFeatureValue(pixelBuffer: try blankImage(constraint))
        case .ids(let shape): return try text(shape, ids: Array(repeating: 1, count: size(shape)))
        }
    }

    func value(_ example: GoldenExample) throws -> MLFeatureValue {
        switch self {
        case .image(let constraint):
            return try MLFeatureValue(imageAt: example.url, constraint: constraint, options: nil)
        case .ids(let shape):
            guard let ids = example.ids, ids.count == size(shape) else {
                throw BenchError("golden.json does not list its ids; make the bundle again")
            }
            return try text(shape, ids: ids)
        }
    }
}

private func size(_ shape: [NSNumber]) -> Int { shape.reduce(1) { $0 * $1.intValue } }

private func text(_ shape: [NSNumber], ids: [Int]) throws -> MLFeatureValue {
    let array = try MLMultiArray(shape: shape, dataType: .int32)
    for (position, id) in ids.enumerated() {
        array[position] = NSNumber(value: id)
    }
    return MLFeatureValue(multiArray: array)
}

private func provider(_ name: String, _ value: MLFeatureValue) throws -> MLFeatureProvider {
    try MLDictionaryFeatureProvider(dictionary: [name: value])
}

private func blankImage(_ constraint: MLImageConstraint) throws -> CVPixelBuffer {
    var buffer: CVPixelBuffer?
    CVPixelBufferCreate(
        nil, constraint.pixelsWide, constraint.pixelsHigh, constraint.pixelFormatType, nil, &buffer)
    guard let buffer else { throw BenchError("There is no memory for an image.") }
    return buffer
}

private func attempt<Value>(_ failing: String, _ work: () throws -> Value) throws -> Value {
    do {
        return try work()
    } catch {
        throw BenchError("\(failing): \(error.localizedDescription)")
    }
}
