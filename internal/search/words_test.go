package search

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"lockstep/internal/message"
	"lockstep/internal/steady"
)

// TestMain plays the process that reads a PDF file, when it is told to.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "pdf-text":
			if err := PDFText(os.Stdin, os.Stdout); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		case "pdf-hang":
			for {
				time.Sleep(time.Hour)
			}
		case "pdf-greedy":
			if err := limitMemory(maxPDFMemory, maxPDFTime); err != nil {
				os.Exit(0)
			}
			var all [][]byte
			for range 4096 {
				b := make([]byte, 1<<20)
				for i := range b {
					b[i] = byte(i)
				}
				all = append(all, b)
			}
			os.Exit(len(all) - 4096)
		}
	}
	os.Exit(m.Run())
}

// pdfFile is a file of one page for each text, written by hand (ISO 32000-1 §7.5).
func pdfFile(pages ...string) []byte {
	var b bytes.Buffer
	var offsets []int
	object := func(body string) {
		offsets = append(offsets, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", len(offsets), body)
	}
	b.WriteString("%PDF-1.4\n")
	object("<< /Type /Catalog /Pages 2 0 R >>")
	kids := ""
	for i := range pages {
		kids += fmt.Sprintf("%d 0 R ", 4+2*i)
	}
	object(fmt.Sprintf("<< /Type /Pages /Kids [%s] /Count %d >>", kids, len(pages)))
	object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>")
	for i, text := range pages {
		content := "BT /F1 12 Tf 72 720 Td (" + text + ") Tj ET"
		object(fmt.Sprintf("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> /Contents %d 0 R >>", 5+2*i))
		object(fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(content), content))
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, at := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", at)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, xref)
	return b.Bytes()
}

func zipFile(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, err := z.Create(files[i])
		if err == nil {
			_, err = io.WriteString(w, files[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const (
	docx = `<?xml version="1.0" encoding="UTF-8"?><w:document xmlns:w="x"><w:body><w:p><w:r><w:t>Quar</w:t></w:r><w:r><w:t>terly</w:t></w:r><w:r><w:tab/><w:t>figures &amp; more</w:t></w:r></w:p><w:p><w:r><w:t>second</w:t></w:r></w:p></w:body></w:document>`
	xlsx = `<worksheet><sheetData><row><c r="A1" t="s"><v>7</v></c><c r="B1"><v>1234</v></c></row></sheetData></worksheet>`
	odt  = `<office:document-content xmlns:office="o" xmlns:text="t"><office:body><text:p>open<text:s/>document</text:p><text:p>text</text:p></office:body></office:document-content>`
)

func TestTextOfOfficeDocuments(t *testing.T) {
	for name, tt := range map[string]struct {
		file []byte
		want string
	}{
		"docx": {zipFile(t, "word/document.xml", docx, "word/media/image1.png", "nonsense", "word/styles.xml", "<a>styles</a>"), "quarterly figures more second"},
		"xlsx": {zipFile(t, "xl/sharedStrings.xml", "<sst><si><t>Budget</t></si><si><t>Sum</t></si></sst>", "xl/worksheets/sheet1.xml", xlsx), "budget sum 1234"},
		"pptx": {zipFile(t, "ppt/slides/slide1.xml", "<p:sld><a:p><a:r><a:t>Slide</a:t></a:r></a:p><a:p><a:t>one</a:t></a:p></p:sld>"), "slide one"},
		"odt":  {zipFile(t, "mimetype", "application/vnd.oasis.opendocument.text", "content.xml", odt), "open document text"},
	} {
		tok := newTokenizer(1000)
		if err := officeText(t.Context(), tok, tt.file); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		tok.close()
		if got := strings.TrimSpace(string(tok.out)); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestABombIsLeftAlone(t *testing.T) {
	big := "<w:document>" + strings.Repeat("<w:p>boom boom boom boom boom boom boom</w:p>", maxUnpacked/40) + "</w:document>"
	if err := officeText(t.Context(), io.Discard, zipFile(t, "word/document.xml", big)); !errors.Is(err, errBomb) {
		t.Errorf("too much in one file: %v", err)
	}
	var many []string
	for i := range maxDocuments + 1 {
		many = append(many, fmt.Sprintf("ppt/slides/slide%d.xml", i), "<a>x</a>")
	}
	if err := officeText(t.Context(), io.Discard, zipFile(t, many...)); !errors.Is(err, errBomb) {
		t.Errorf("too many files: %v", err)
	}
	if err := officeText(t.Context(), io.Discard, zipFile(t, many[:2*maxDocuments]...)); err != nil {
		t.Errorf("as many as there may be: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := officeText(ctx, io.Discard, zipFile(t, "content.xml", odt)); !errors.Is(err, context.Canceled) {
		t.Errorf("out of time: %v", err)
	}
}

func TestTextOfPDFFiles(t *testing.T) {
	read := PDFProcess(os.Args[0], "pdf-text")
	tok := newTokenizer(1000)
	if err := read(t.Context(), tok, pdfFile("Hello from page one", "and page two")); err != nil {
		t.Fatal(err)
	}
	tok.close()
	if got := strings.TrimSpace(string(tok.out)); got != "hello from page one and page two" {
		t.Errorf("%q", got)
	}
	if err := read(t.Context(), io.Discard, []byte("%PDF-1.4\nnonsense")); err == nil {
		t.Error("nonsense is read")
	}
	if err := read(t.Context(), newTokenizer(10), pdfFile(strings.Repeat("many words ", 9999))); !errors.Is(err, errFull) {
		t.Errorf("a reader that has enough: %v", err)
	}
}

func TestAReaderOfPDFFilesIsStopped(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := PDFProcess(os.Args[0], "pdf-hang")(ctx, io.Discard, nil); err == nil || time.Since(began) > steady.Patience {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	if err := PDFProcess(os.Args[0], "pdf-greedy")(t.Context(), io.Discard, nil); err == nil {
		t.Error("it may take all memory")
	}
}

func attachment(contentType, name string, data []byte) string {
	return fmt.Sprintf("--b\r\nContent-Type: %s\r\nContent-Disposition: attachment; filename=%q\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n",
		contentType, name, base64.StdEncoding.EncodeToString(data))
}

func TestWordsOfAMessage(t *testing.T) {
	text := "From: Anna <anna@example.test>\r\nTo: bob@example.test\r\nCc: =?utf-8?Q?Zo=C3=AB?= <zoe@example.test>\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
		"--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\nplain only\r\n--c\r\nContent-Type: text/html\r\n\r\n<p>html <b>text</b></p>\r\n--c--\r\n" +
		attachment("application/pdf", "one.pdf", pdfFile("inside the pdf")) +
		attachment("application/octet-stream", "Two.DOCX", zipFile(t, "word/document.xml", docx)) +
		attachment("application/vnd.oasis.opendocument.text", "broken.odt", []byte("no zip")) +
		attachment("text/plain; charset=iso-8859-1", "three.txt", []byte("caf\xe9")) +
		"--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: carol@example.test\r\nSubject: forwarded\r\n\r\nits text\r\n" +
		"--b\r\nContent-Type: image/png; name=picture.png\r\nContent-Description: a view\r\n\r\nxx\r\n--b--\r\n"
	m, err := message.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	w, err := wordsOf(t.Context(), strings.NewReader(text), m, PDFProcess(os.Args[0], "pdf-text"))
	if err != nil {
		t.Fatal(err)
	}
	for f, want := range map[field]string{
		fieldSubject: "grusse", fieldSender: "anna anna example test", fieldRecipients: "bob example test zoe zoe example test",
		fieldBody: "html text its text", fieldNames: "one pdf two docx broken odt three txt picture png a view",
		fieldFiles: "inside the pdf quarterly figures more second cafe forwarded carol example test",
	} {
		if got := strings.Join(strings.Fields(string(w.fields[f].out)), " "); got != want {
			t.Errorf("%s\n got %s\nwant %s", columns[f], got, want)
		}
	}
	if len(w.trouble) != 1 || !strings.Contains(w.trouble[0], "opendocument") {
		t.Errorf("trouble %q", w.trouble)
	}
}

// FuzzOffice holds that no document makes the reader fail but with an error.
func FuzzOffice(f *testing.F) {
	f.Add(zipFile(f, "word/document.xml", docx), docx)
	f.Add(zipFile(f, "content.xml", odt), xlsx)
	f.Fuzz(func(t *testing.T, file []byte, xml string) {
		_ = officeText(t.Context(), newTokenizer(100), file)
		_ = xmlText(newTokenizer(100), strings.NewReader(xml))
	})
}
