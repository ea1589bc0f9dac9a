import Darwin
import Foundation
import UIKit

/// What iOS tells an app about the phone.
struct ApplePhone: Phone {
    #if targetEnvironment(simulator)
        let emulated = true
    #else
        let emulated = false
    #endif

    func describe() -> Device {
        let system = ProcessInfo.processInfo.operatingSystemVersion
        return Device(
            maker: "Apple",
            model: sysctl("hw.machine"),
            soc: nil,
            cores: cores(),
            os: "iOS \(system.majorVersion).\(system.minorVersion).\(system.patchVersion)",
            abi: "arm64",
            governor: nil
        )
    }

    func condition() -> Condition {
        let device = UIDevice.current
        device.isBatteryMonitoringEnabled = true
        let charge = device.batteryLevel
        return Condition(
            celsius: nil,
            thermalStatus: word(ProcessInfo.processInfo.thermalState),
            battery: charge < 0 ? nil : Double(charge)
        )
    }

    /// iOS keeps one peak for the life of the process, so only a new peak tells.
    func memoryMeter() -> () -> Double? {
        let before = footprint()
        return {
            guard let before, let after = footprint(), after.peak > before.peak else { return nil }
            return (after.peak - before.now) / 1e6
        }
    }

    private func word(_ state: ProcessInfo.ThermalState) -> String {
        switch state {
        case .nominal: return "nominal"
        case .fair: return "fair"
        case .serious: return "serious"
        case .critical: return "critical"
        @unknown default: return "unknown"
        }
    }

    /// Level 0 holds the fast cores, level 1 the efficient ones.
    private func cores() -> [Cores] {
        let levels = (0..<2).compactMap { sysctl("hw.perflevel\($0).physicalcpu", as: Int32.self) }
        let counts = levels.filter { $0 > 0 }.map(Int.init)
        return counts.isEmpty
            ? [Cores(count: ProcessInfo.processInfo.processorCount)]
            : counts.map { Cores(count: $0) }
    }
}

private func sysctl(_ name: String) -> String? {
    var size = 0
    guard sysctlbyname(name, nil, &size, nil, 0) == 0, size > 0 else { return nil }
    var characters = [CChar](repeating: 0, count: size)
    guard sysctlbyname(name, &characters, &size, nil, 0) == 0 else { return nil }
    return String(cString: characters)
}

private func sysctl<Number: FixedWidthInteger>(_ name: String, as type: Number.Type) -> Number? {
    var number: Number = 0
    var size = MemoryLayout<Number>.size
    return sysctlbyname(name, &number, &size, nil, 0) == 0 ? number : nil
}

private func footprint() -> (now: Double, peak: Double)? {
    var info = task_vm_info_data_t()
    var count = mach_msg_type_number_t(MemoryLayout<task_vm_info_data_t>.size / MemoryLayout<natural_t>.size)
    let status = withUnsafeMutablePointer(to: &info) { pointer in
        pointer.withMemoryRebound(to: integer_t.self, capacity: Int(count)) {
            task_info(mach_task_self_, task_flavor_t(TASK_VM_INFO), $0, &count)
        }
    }
    guard status == KERN_SUCCESS else { return nil }
    return (Double(info.phys_footprint), Double(info.ledger_phys_footprint_peak))
}
