@_exported import Foundation

open class XCTActivity {
    public final func add(_ attachment: XCTAttachment) {}
}

open class XCTestCase: XCTActivity {}

public final class XCTAttachment {
    public enum Lifetime { case keepAlways }

    public init(contentsOfFile url: URL) {}

    public var lifetime = Lifetime.keepAlways
}

public func XCTAssertFalse(_ expression: @autoclosure () throws -> Bool, _ message: @autoclosure () -> String = "") {}

public func XCTAssertEqual<Value: Equatable>(
    _ first: @autoclosure () throws -> Value, _ second: @autoclosure () throws -> Value,
    _ message: @autoclosure () -> String = ""
) {}

public func XCTAssertNotEqual<Value: Equatable>(
    _ first: @autoclosure () throws -> Value, _ second: @autoclosure () throws -> Value,
    _ message: @autoclosure () -> String = ""
) {}
