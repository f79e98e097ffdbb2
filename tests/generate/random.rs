//! Numbers that look random and are always the same: `SplitMix64`, seeded by what they are for.

/// A stream of numbers.
pub struct Random(u64);

/// The symbols of names that Kubernetes makes.
const SYMBOLS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

impl Random {
    /// The stream for one purpose: the same words give the same numbers.
    pub fn new(purpose: &str, words: &[u64]) -> Self {
        let mut random = Self(0x6b6b_705f_7573_6167);
        for word in purpose.bytes().map(u64::from).chain(words.iter().copied()) {
            random.0 ^= word;
            random.0 = random.next();
        }
        random
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, or 0 if that is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next().checked_rem(limit).unwrap_or(0)
    }

    /// Whether something with a chance of `percent` happens.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of the choices.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.next() >> 33).unwrap_or(0) % choices.len()]
    }

    /// Ten symbols, like the names of clusters and projects.
    pub fn name(&mut self) -> String {
        (0..10).map(|_| char::from(self.pick(SYMBOLS))).collect()
    }

    /// Hexadecimal digits.
    pub fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| char::from(self.pick(b"0123456789abcdef"))).collect()
    }

    /// A random UUID.
    pub fn uuid(&mut self) -> String {
        let variant = char::from(self.pick(b"89ab"));
        format!("{}-{}-4{}-{variant}{}-{}", self.hex(8), self.hex(4), self.hex(3), self.hex(3), self.hex(12))
    }

    /// A point in time in the years 2022 to 2025.
    pub fn time(&mut self) -> String {
        let (year, month, day) = (2022 + self.below(4), 1 + self.below(12), 1 + self.below(28));
        let (hour, minute, second) = (self.below(24), self.below(60), self.below(60));
        format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}
