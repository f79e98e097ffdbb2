//! What happens to bundles on their way, and the command that undoes each: compressing, encoding as text, converting
//! line ends or characters, packing again. Telling which it was is done in `recognise`.

use super::code::Code;
use super::container::Shape;

/// Declares what can be undone: code, what it is called, and the command. The commands read from `FILE`.
macro_rules! alterations {
    ($($variant:ident, $code:ident, $what:literal, $repair:literal;)+) => {
        /// Something that happened to a file, and that one command undoes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Alteration {
            $(#[doc = $what] $variant,)+
        }

        impl Alteration {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The stable code.
            #[must_use]
            pub fn code(self) -> Code {
                match self {
                    $(Self::$variant => Code::$code,)+
                }
            }

            /// What the file is now.
            #[must_use]
            pub fn what(self) -> &'static str {
                match self {
                    $(Self::$variant => $what,)+
                }
            }

            /// The command that undoes it; what comes out may have been altered in another way before.
            #[must_use]
            pub fn repair(self) -> &'static str {
                match self {
                    $(Self::$variant => $repair,)+
                }
            }
        }
    };
}

// Read from stdin, since gzip and others refuse names that do not end as theirs do. Written to another name than people
// give their bundles, since the shell would empty that file first.
alterations! {
    Gzip, Wrapped, "a gzip file", "gzip -dc < FILE > repaired.tar";
    Xz, Wrapped, "an xz file", "xz -dc < FILE > repaired.tar";
    Zstd, Wrapped, "a zstd file", "zstd -dc < FILE > repaired.tar";
    Bzip2, Wrapped, "a bzip2 file", "bzip2 -dc < FILE > repaired.tar";
    Zip, Wrapped, "a zip file", "unzip -p FILE > repaired.tar";
    ZippedFiles, Wrapped, "a zip file of an unpacked bundle",
        "mkdir b && unzip -j FILE -d b && tar --format=ustar -cf repaired.tar -C b manifest.json manifest.json.sig \
         records.tar.gz";
    SevenZip, Wrapped, "a 7z file", "7z x -so FILE > repaired.tar";
    Tar, Wrapped, "a tar file with the bundle in it", "tar -xOf FILE > repaired.tar";
    Base64, Encoded, "base64 text", "base64 -di FILE > repaired.tar";
    Armour, Encoded, "base64 text between lines of dashes", "grep -v ^- FILE | base64 -di > repaired.tar";
    QuotedPrintable, Encoded, "quoted-printable text",
        "python3 -c 'import quopri,sys; quopri.decode(open(sys.argv[1],\"rb\"),open(\"repaired.tar\",\"wb\"))' FILE";
    Mail, Encoded, "a mail message, perhaps with the bundle attached",
        "python3 -c 'import email,sys; parts=[part.get_payload(decode=True) or b\"\" for part in \
         email.message_from_binary_file(open(sys.argv[1],\"rb\")).walk()]; \
         open(\"repaired.tar\",\"wb\").write(max(parts,key=len))' FILE";
    LineEnds, TextConverted, "a bundle whose line feeds became CR LF", "LC_ALL=C sed 's/\\r$//' FILE > repaired.tar";
    Utf8, TextConverted, "a bundle whose bytes were taken for Latin-1 and written as UTF-8",
        "iconv -f UTF-8 -t ISO-8859-1 FILE > repaired.tar";
    Utf16, TextConverted, "UTF-16 text", "iconv -f UTF-16 -t ISO-8859-1 FILE > repaired.tar";
    ByteOrderMark, TextConverted, "something behind a byte order mark", "tail -c +4 FILE > repaired.tar";
}

/// The command that packs a container again as it was.
#[must_use]
pub fn repack(shape: Shape) -> String {
    let names = shape.names();
    let (bundle, first, all) = (shape.word(), names[0], names.join(" "));
    // The files may lie in a folder, whose name is nothing to put into a command.
    format!(
        "mkdir b && tar -xf FILE -C b && tar --format=ustar -cf {bundle}.tar -C \"$(dirname \"$(find b -name \
         {first})\")\" {all}"
    )
}
