{{/* Whether there is a helm test: not with mode: close, where nothing is sent for a try. */}}
{{- define "signoff.tested" -}}
{{- if and .Values.test.enabled (ne (default "dry-run" .Values.config.mode) "close") }}true{{ end }}
{{- end }}

{{/* Where the test sends to: the release's own webhook. */}}
{{- define "signoff.testURL" -}}
{{- $scheme := ternary "https" "http" (not (empty ((.Values.config.webhook).tls))) }}
{{- default (printf "%s://%s.%s.svc:%v" $scheme (include "signoff.fullname" .) (include "signoff.namespace" .) .Values.service.webhookPort) .Values.test.url }}
{{- end }}
