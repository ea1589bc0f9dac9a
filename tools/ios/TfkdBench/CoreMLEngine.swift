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
    private let constraint: MLImageConstraint
    private let probabilities: String
    private let blank: MLFeatureProvider

    init(artifact: Artifact, model: MLModel, classes: [String]) throws {
        let description = model.modelDescription
        guard let (name, feature) = description.inputDescriptionsByName.first,
            description.inputDescriptionsByName.count == 1,
            let constraint = feature.imageConstraint,
            let probabilities = description.predictedProbabilitiesName
        else { throw BenchError("\(artifact.path) is no classifier of one image.") }
        path = artifact.path
        self.model = model
        self.classes = classes
        input = name
        self.constraint = constraint
        self.probabilities = probabilities
        blank = try provider(name, MLFeatureValue(pixelBuffer: blankImage(constraint)))
    }

    func run() throws {
        _ = try predict(blank)
    }

    func answer(_ image: URL) throws -> [Double] {
        let value = try attempt("\(image.lastPathComponent) cannot be read") {
            try MLFeatureValue(imageAt: image, constraint: constraint, options: nil)
        }
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
