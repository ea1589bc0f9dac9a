@_exported import Foundation

@MainActor @preconcurrency
public protocol View {
    associatedtype Body: View
    @ViewBuilder var body: Body { get }
}

extension Never: View {
    public var body: Never { return fatalError() }
}

@MainActor @preconcurrency
public protocol Scene {}

@MainActor @preconcurrency
public protocol App {
    associatedtype Body: Scene
    var body: Body { get }
    init()
}

extension App {
    public static func main() {}
}

@resultBuilder
public enum ViewBuilder {
    public static func buildBlock<each Content: View>(_ content: repeat each Content) -> Stack { Stack() }
}

public struct Stack: View {
    public var body: Never { return fatalError() }
}

public struct WindowGroup<Content: View>: Scene {
    public init(@ViewBuilder content: () -> Content) {}
}

public struct VStack<Content: View>: View {
    public init(@ViewBuilder content: () -> Content) {}

    public var body: Never { return fatalError() }
}

public struct ScrollView<Content: View>: View {
    public init(@ViewBuilder content: () -> Content) {}

    public var body: Never { return fatalError() }
}

public struct Text: View {
    public init(_ content: String) {}

    public func font(_ font: Font?) -> Text { self }

    public var body: Never { return fatalError() }
}

public struct Button: View {
    public init(_ title: String, action: @escaping @MainActor () -> Void) {}

    public var body: Never { return fatalError() }
}

public struct Font {
    public enum TextStyle { case footnote }
    public enum Design { case monospaced }

    public static func system(_ style: TextStyle, design: Design?) -> Font { Font() }
}

public enum TextSelectability {
    case enabled
}

extension View {
    public func disabled(_ disabled: Bool) -> some View { Stack() }

    public func padding() -> some View { Stack() }

    public func onAppear(perform action: (() -> Void)?) -> some View { Stack() }

    public func textSelection(_ selectability: TextSelectability) -> some View { Stack() }
}

@propertyWrapper
public struct State<Value> {
    public init(wrappedValue: Value) {}

    public var wrappedValue: Value {
        get { fatalError() }
        nonmutating set {}
    }
}
