import Foundation

/// SHA-256 itself (FIPS 180-4), because bundles are read with it: Linux has no CryptoKit.
public enum SHA256 {
    private static let rounds = 64
    private static let primes = (2...311).filter { candidate in
        !(2..<candidate).contains { candidate % $0 == 0 }
    }

    /// The first 32 bits of the fractional part of a root.
    private static func fraction(_ root: Double) -> UInt32 { UInt32((root - root.rounded(.down)) * 4_294_967_296) }

    public static func hash(data: Data) -> [UInt8] {
        var state = primes.prefix(8).map { fraction(Double($0).squareRoot()) }
        let constants = primes.prefix(rounds).map { fraction(cbrt(Double($0))) }
        let length = UInt64(data.count) * 8
        var message = [UInt8](data) + [0x80]
        message += [UInt8](repeating: 0, count: (120 - message.count % 64) % 64)
        message += (0..<8).map { UInt8(truncatingIfNeeded: length >> (56 - 8 * $0)) }
        for start in stride(from: 0, to: message.count, by: 64) {
            var words = (0..<16).map { word in
                (0..<4).reduce(UInt32(0)) { $0 << 8 | UInt32(message[start + 4 * word + $1]) }
            }
            for index in 16..<rounds {
                let (early, late) = (words[index - 15], words[index - 2])
                let first = turn(early, 7) ^ turn(early, 18) ^ early >> 3
                let second = turn(late, 17) ^ turn(late, 19) ^ late >> 10
                words.append(words[index - 16] &+ first &+ words[index - 7] &+ second)
            }
            var now = state
            for index in 0..<rounds {
                let choice = (now[4] & now[5]) ^ (~now[4] & now[6])
                let majority = (now[0] & now[1]) ^ (now[0] & now[2]) ^ (now[1] & now[2])
                let upper = turn(now[4], 6) ^ turn(now[4], 11) ^ turn(now[4], 25)
                let lower = turn(now[0], 2) ^ turn(now[0], 13) ^ turn(now[0], 22)
                let step = now[7] &+ upper &+ choice &+ constants[index] &+ words[index]
                now = [step &+ lower &+ majority] + now.prefix(7)
                now[4] = now[4] &+ step
            }
            state = zip(state, now).map { $0 &+ $1 }
        }
        return state.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (24 - 8 * $0)) } }
    }

    private static func turn(_ word: UInt32, _ bits: UInt32) -> UInt32 { word >> bits | word << (32 - bits) }
}
