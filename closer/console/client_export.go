package console

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
)

// mostOfExport is the largest file of an export that is unpacked, in bytes.
const mostOfExport = 64 << 30

// Export has the daemon export evidence. The answer goes into packed, an empty file,
// and from there into the files that create opens.
func (c *Client) Export(ctx context.Context, since, until, format string, packed *os.File, create func(name string) (io.Writer, error)) error {
	q := url.Values{}
	for name, value := range map[string]string{"since": since, "until": until, "format": format} {
		if value != "" {
			q.Set(name, value)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/api/v1/audit/export?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreached(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		if err != nil {
			return err
		}
		return c.refused("/api/v1/audit/export", resp, text)
	}
	size, err := io.Copy(packed, resp.Body)
	if err != nil {
		return fmt.Errorf("the export broke off, see the daemon's log: %w", err)
	}
	return unpack(packed, size, create)
}

func unpack(packed io.ReaderAt, size int64, create func(name string) (io.Writer, error)) error {
	archive, err := zip.NewReader(packed, size)
	if err != nil {
		return fmt.Errorf("not the export of a signoff: %w", err)
	}
	for _, f := range archive.File {
		if !slices.Contains([]string{LeaversCSV, LeaversJSONL, AuditJSONL, ManifestFile, SignatureOf}, f.Name) {
			return fmt.Errorf("not the export of a signoff: %q is in it", f.Name)
		}
		w, err := create(f.Name)
		if err != nil {
			return err
		}
		from, err := f.Open()
		if err != nil {
			return err
		}
		n, err := io.Copy(w, io.LimitReader(from, mostOfExport+1))
		if err = errors.Join(err, from.Close()); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		if n > mostOfExport {
			return fmt.Errorf("%s: more than %d GiB", f.Name, mostOfExport>>30)
		}
	}
	return nil
}
