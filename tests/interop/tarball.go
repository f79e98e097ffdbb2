// Lists, extracts and packs tars with Go's archive/tar, for the tests of interoperability.
//
//	go run tarball.go list FILE
//	go run tarball.go extract FILE DIRECTORY
//	go run tarball.go pack FILE DIRECTORY FORMAT NAME...
//
// FORMAT is gnu, ustar or pax. Entries get another owner than their files have, and keep the files' times.
package main

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

var formats = map[string]tar.Format{"gnu": tar.FormatGNU, "ustar": tar.FormatUSTAR, "pax": tar.FormatPAX}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 2 && arguments[0] == "list":
		return walk(arguments[1], func(header *tar.Header, _ io.Reader) error {
			fmt.Println(header.Name)
			return nil
		})
	case len(arguments) == 3 && arguments[0] == "extract":
		return walk(arguments[1], func(header *tar.Header, contents io.Reader) error {
			return extract(arguments[2], header, contents)
		})
	case len(arguments) > 4 && arguments[0] == "pack":
		return pack(arguments[1], arguments[2], formats[arguments[3]], arguments[4:])
	}
	return fmt.Errorf("not understood: %q", arguments)
}

// walk reads a tar, compressed or not, to its end.
func walk(name string, visit func(*tar.Header, io.Reader) error) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	buffered := bufio.NewReader(file)
	var plain io.Reader = buffered
	if magic, _ := buffered.Peek(2); string(magic) == "\x1f\x8b" {
		if plain, err = gzip.NewReader(buffered); err != nil {
			return err
		}
	}
	reader := tar.NewReader(plain)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			// What follows the end of the tar, with gzip's checksum behind it.
			_, err = io.Copy(io.Discard, plain)
			return err
		}
		if err != nil {
			return err
		}
		if err := visit(header, reader); err != nil {
			return err
		}
	}
}

func extract(directory string, header *tar.Header, contents io.Reader) error {
	if header.Typeflag != tar.TypeReg || !filepath.IsLocal(header.Name) {
		return fmt.Errorf("%q is not a file below the directory", header.Name)
	}
	target := filepath.Join(directory, header.Name)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, header.FileInfo().Mode().Perm())
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, contents); err != nil {
		return err
	}
	return file.Close()
}

func pack(name, directory string, format tar.Format, names []string) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	writer := tar.NewWriter(file)
	for _, name := range names {
		if err := add(writer, directory, name, format); err != nil {
			return err
		}
	}
	if err := writer.Close(); err != nil {
		return err
	}
	return file.Close()
}

func add(writer *tar.Writer, directory, name string, format tar.Format) error {
	path := filepath.Join(directory, name)
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	header, err := tar.FileInfoHeader(info, "")
	if err != nil {
		return err
	}
	header.Name, header.Format = name, format
	header.Uid, header.Gid, header.Uname, header.Gname = 1234, 5678, "operator", "staff"
	header.AccessTime, header.ChangeTime = time.Time{}, time.Time{}
	if format != tar.FormatPAX {
		header.ModTime = header.ModTime.Round(time.Second)
	}
	if err := writer.WriteHeader(header); err != nil || info.IsDir() {
		return err
	}
	contents, err := os.Open(path)
	if err != nil {
		return err
	}
	defer contents.Close()
	_, err = io.Copy(writer, contents)
	return err
}
