import Foundation

@MainActor
public final class UIApplication {
    public static let shared = UIApplication()

    public var isIdleTimerDisabled = false
}

public final class UIDevice {
    public static var current: UIDevice { fatalError() }

    public var isBatteryMonitoringEnabled = false
    public var batteryLevel: Float { fatalError() }
}

extension ProcessInfo {
    public enum ThermalState: Int {
        case nominal, fair, serious, critical
    }

    public var thermalState: ThermalState { fatalError() }
}
