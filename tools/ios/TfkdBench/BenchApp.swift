import SwiftUI
import UIKit

@main
struct BenchApp: App {
    var body: some Scene {
        WindowGroup {
            BenchView()
        }
    }
}

/// Shows the numbers. It measures when its button is pressed, and at once when `tfkd bench` starts it; then it ends.
struct BenchView: View {
    @State private var text = lastResults()
    @State private var busy = false

    /// Set by `tfkd bench --target ios`.
    private var driven: Bool { ProcessInfo.processInfo.environment["TFKD_BENCH"] == "run" }

    var body: some View {
        VStack {
            Button("Measure") { start() }
                .disabled(busy)
                .padding()
            ScrollView {
                Text(text)
                    .font(.system(.footnote, design: .monospaced))
                    .textSelection(.enabled)
                    .padding()
            }
        }
        .onAppear { if driven { start() } }
    }

    private func start() {
        busy = true
        UIApplication.shared.isIdleTimerDisabled = true
        Task.detached(priority: .userInitiated) {
            let shown = measured()
            await MainActor.run {
                text = shown
                busy = false
                UIApplication.shared.isIdleTimerDisabled = false
                if driven { leave() }
            }
        }
    }

    private nonisolated func measured() -> String {
        do {
            return table(try measure(places: .standard, engine: CoreMLEngine(), phone: ApplePhone(), say: say))
        } catch {
            return "\(error)"
        }
    }

    /// The pushed files go; the results stay to be fetched.
    private func leave() -> Never {
        for pushed in [Places.standard.bundle, Places.standard.parameters] {
            try? FileManager.default.removeItem(at: pushed)
        }
        exit(0)
    }
}

/// A line of progress; the console that started the app shows it at once.
private func say(_ line: String) {
    FileHandle.standardOutput.write(Data((line + "\n").utf8))
}

private func lastResults() -> String {
    guard let data = try? Data(contentsOf: Places.standard.results) else { return "Nothing was measured yet." }
    do {
        return table(try ResultsFile.decoded(data).results)
    } catch {
        return "The last results cannot be read: \(error)"
    }
}
