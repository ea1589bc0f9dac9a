import Foundation

public typealias OSType = UInt32
public typealias CVReturn = Int32

public final class CVPixelBuffer {}

@discardableResult
public func CVPixelBufferCreate(
    _ allocator: Any?, _ width: Int, _ height: Int, _ pixelFormatType: OSType, _ attributes: NSDictionary?,
    _ pixelBufferOut: UnsafeMutablePointer<CVPixelBuffer?>
) -> CVReturn { fatalError() }

public enum MLComputeUnits: Int {
    case cpuOnly, cpuAndGPU, all, cpuAndNeuralEngine
}

public class MLModelConfiguration: NSObject {
    public var computeUnits = MLComputeUnits.all
}

public class MLImageConstraint: NSObject {
    public var pixelsHigh: Int { fatalError() }
    public var pixelsWide: Int { fatalError() }
    public var pixelFormatType: OSType { fatalError() }
}

public enum MLMultiArrayDataType: Int {
    case int32, float32
}

public class MLMultiArray: NSObject {
    public init(shape: [NSNumber], dataType: MLMultiArrayDataType) throws { fatalError() }

    public subscript(index: Int) -> NSNumber {
        get { fatalError() }
        set { fatalError() }
    }
}

public class MLMultiArrayConstraint: NSObject {
    public var shape: [NSNumber] { fatalError() }
    public var dataType: MLMultiArrayDataType { fatalError() }
}

public class MLFeatureDescription: NSObject {
    public var imageConstraint: MLImageConstraint? { fatalError() }
    public var multiArrayConstraint: MLMultiArrayConstraint? { fatalError() }
}

public class MLModelDescription: NSObject {
    public var inputDescriptionsByName: [String: MLFeatureDescription] { fatalError() }
    public var predictedProbabilitiesName: String? { fatalError() }
}

public class MLFeatureValue: NSObject {
    public struct ImageOption: Hashable {
        public static let cropAndScale = ImageOption()
    }

    public convenience init(pixelBuffer value: CVPixelBuffer) { fatalError() }

    public convenience init(multiArray value: MLMultiArray) { fatalError() }

    public convenience init(imageAt url: URL, constraint: MLImageConstraint, options: [ImageOption: Any]?) throws {
        fatalError()
    }

    public var dictionaryValue: [AnyHashable: NSNumber] { fatalError() }
}

public protocol MLFeatureProvider {
    func featureValue(for featureName: String) -> MLFeatureValue?
}

public class MLDictionaryFeatureProvider: NSObject, MLFeatureProvider {
    public init(dictionary: [String: Any]) throws { fatalError() }

    public func featureValue(for featureName: String) -> MLFeatureValue? { fatalError() }
}

public class MLModel: NSObject {
    public convenience init(contentsOf url: URL, configuration: MLModelConfiguration) throws { fatalError() }

    public class func compileModel(at modelURL: URL) throws -> URL { fatalError() }

    public var modelDescription: MLModelDescription { fatalError() }

    public func prediction(from input: MLFeatureProvider) throws -> MLFeatureProvider { fatalError() }
}
