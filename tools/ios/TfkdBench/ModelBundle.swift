import CryptoKit
import Foundation

/// A Core ML file of the bundle.
struct Artifact {
    let path: String
    let url: URL
    let sha256: String
    let format: String
    let precision: String
    /// By runtime family, the largest difference from the golden answers that passes; empty in older bundles.
    let tolerances: [String: Double]
}

/// A golden example: its file, of a text also its ids and, by path of an artifact, the probabilities that it must get;
/// those of other runtime families than the file's first by family and path.
struct GoldenExample {
    let url: URL
    let ids: [Int]?
    let probabilities: [String: [Double]]
    let families: [String: [String: [Double]]]

    /// Returns the probabilities of a family; the first family's where the bundle has none of it.
    func answers(of family: Family, path: String) -> [Double]? {
        families[family.rawValue]?[path] ?? probabilities[path]
    }
}

/// What a bundle that `tfkd run` made holds for this phone.
struct ModelBundle {
    let classes: [String]
    let artifacts: [Artifact]
    let golden: [GoldenExample]

    /// Reads a bundle, and compares its Core ML files with their hashes in the manifest.
    ///
    /// Throws a `BenchError` where the folder is no bundle, or not a whole one.
    init(folder: URL) throws {
        let manifest = try read(Manifest.self, from: folder.appendingPathComponent("manifest.json"))
        let stated = try read(GoldenFile.self, from: folder.appendingPathComponent("golden/golden.json"))
        artifacts = try manifest.artifacts
            .filter { ["mlmodel", "mlpackage"].contains($0.format) }
            .map { try $0.verified(in: folder) }
        guard !artifacts.isEmpty else { throw BenchError("The bundle holds no mlmodel or mlpackage file.") }
        classes = stated.classes
        golden = try stated.images.map { image in
            GoldenExample(
                url: try inside(folder, "golden/" + image.file),
                ids: image.ids,
                probabilities: image.probabilities,
                families: image.families?.known ?? [:]
            )
        }
    }
}

private struct Manifest: Decodable {
    struct Entry: Decodable {
        let path: String
        let format: String
        let precision: String
        let sha256: String
        let goldenTolerances: [String: Double]?

        enum CodingKeys: String, CodingKey {
            case path, format, precision, sha256
            case goldenTolerances = "golden_tolerances"
        }

        func verified(in folder: URL) throws -> Artifact {
            let url = try inside(folder, path)
            guard try digest(of: url) == sha256 else {
                throw BenchError("\(path) is not the file that the manifest names.")
            }
            return Artifact(
                path: path,
                url: url,
                sha256: sha256,
                format: format,
                precision: precision,
                tolerances: goldenTolerances ?? [:]
            )
        }
    }

    let artifacts: [Entry]
}

private struct GoldenFile: Decodable {
    struct Image: Decodable {
        let file: String
        let ids: [Int]?
        let probabilities: [String: [Double]]
        let families: Families?
    }

    /// Answers by family and path; families of later versions may have any form, and are left out.
    struct Families: Decodable {
        let known: [String: [String: [Double]]]

        init(from decoder: Decoder) throws {
            let values = try decoder.container(keyedBy: FamilyKey.self)
            var known: [String: [String: [Double]]] = [:]
            for key in values.allKeys where Family(rawValue: key.stringValue) != nil {
                known[key.stringValue] = try values.decode([String: [Double]].self, forKey: key)
            }
            self.known = known
        }
    }

    struct FamilyKey: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    let classes: [String]
    let images: [Image]
}

private func read<Value: Decodable>(_ type: Value.Type, from url: URL) throws -> Value {
    do {
        return try JSONDecoder().decode(type, from: Data(contentsOf: url))
    } catch {
        throw BenchError("\(url.lastPathComponent) of the bundle cannot be read: \(error)")
    }
}

private func inside(_ folder: URL, _ path: String) throws -> URL {
    guard !path.hasPrefix("/"), !path.split(separator: "/").contains("..") else {
        throw BenchError("\(path) is outside the bundle.")
    }
    return folder.appendingPathComponent(path)
}

/// Returns the hex SHA-256 of a file; of a folder: of its sorted `sha256  path` lines.
private func digest(of url: URL) throws -> String {
    guard let folder = isFolder(url) else { throw BenchError("\(url.lastPathComponent) is not in the bundle.") }
    guard folder else { return hex(try Data(contentsOf: url)) }
    let files = try FileManager.default.subpathsOfDirectory(atPath: url.path)
        .filter { isFolder(url.appendingPathComponent($0)) == false }
        // By the bytes of the paths, as elsewhere; Swift alone would sort by their Unicode forms.
        .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    let lines = try files.map { "\(hex(try Data(contentsOf: url.appendingPathComponent($0))))  \($0)\n" }
    return hex(Data(lines.joined().utf8))
}

/// Returns nil where there is nothing.
private func isFolder(_ url: URL) -> Bool? {
    var isFolder: ObjCBool = false
    let exists = FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder)
    return exists ? isFolder.boolValue : nil
}

private func hex(_ data: Data) -> String {
    SHA256.hash(data: data).map { String(format: "%02x", $0) }.joined()
}
