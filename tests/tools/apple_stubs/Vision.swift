import CoreML
import Foundation
import ImageIO

public enum VNImageCropAndScaleOption: UInt {
    case centerCrop, scaleFit, scaleFill
}

public struct VNImageOption: Hashable {}

public typealias VNConfidence = Float

public class VNCoreMLModel: NSObject {
    public convenience init(for model: MLModel) throws { fatalError() }
}

public class VNObservation: NSObject {
    public var confidence: VNConfidence { fatalError() }
}

public class VNClassificationObservation: VNObservation {
    public var identifier: String { fatalError() }
}

public class VNRequest: NSObject {
    public var results: [VNObservation]? { fatalError() }
}

public class VNCoreMLRequest: VNRequest {
    public convenience init(model: VNCoreMLModel) { fatalError() }

    public var imageCropAndScaleOption = VNImageCropAndScaleOption.centerCrop
}

public class VNImageRequestHandler: NSObject {
    public convenience init(
        cgImage image: CGImage, orientation: CGImagePropertyOrientation, options: [VNImageOption: Any] = [:]
    ) { fatalError() }

    public func perform(_ requests: [VNRequest]) throws { fatalError() }
}
