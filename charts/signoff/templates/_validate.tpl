{{/* What values may not say together, each with what to do instead. */}}
{{- define "signoff.validate" -}}
{{- include "signoff.validateConfig" . }}
{{- include "signoff.validateSecrets" . }}
{{- include "signoff.validateShutdown" . }}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled }}
{{- fail "serviceMonitor and podMonitor are both enabled: every metric would be there twice; enable one of them" }}
{{- end }}
{{- if and (or .Values.ingress.enabled .Values.httpRoute.enabled .Values.webhookService.enabled) (not (include "signoff.hasWebhook" .)) }}
{{- fail "ingress, httpRoute and webhookService lead to the webhook: config.webhook is not set" }}
{{- end }}
{{- $admin := default dict .Values.config.admin }}
{{- if and (or .Values.pages.ingress.enabled .Values.pages.httpRoute.enabled) .Values.config (not (or $admin.tokens_file $admin.oidc $admin.web_config_file)) }}
{{- fail "pages: config.admin has none of tokens_file, oidc and web_config_file: nobody could sign in, and no page is served" }}
{{- end }}
{{- if and .Values.backup.enabled (not .Values.persistence.enabled) }}
{{- fail "backup.enabled: the ledger has no volume to be copied from: persistence.enabled is false" }}
{{- end }}
{{- if and .Values.backup.enabled (has "ReadWriteOncePod" .Values.persistence.accessModes) }}
{{- fail "persistence.accessModes: ReadWriteOncePod lets no other pod read the ledger: use ReadWriteOnce with backup.enabled" }}
{{- end }}
{{- end }}

{{- define "signoff.validateConfig" -}}
{{- $config := .Values.config }}
{{- if and $config .Values.existingConfigMap }}
{{- fail "config and existingConfigMap are both set: the config comes from one of them" }}
{{- end }}
{{- if not .Values.existingConfigMap }}
{{- if not $config }}
{{- fail "config is empty: signoff needs to know where terminations come from and which Docusign account they are about; see README.md, or name an existingConfigMap" }}
{{- end }}
{{- if not (or $config.kafka $config.webhook) }}
{{- fail "config: neither kafka nor webhook is set: no termination would ever be heard of" }}
{{- end }}
{{- $mode := default "dry-run" $config.mode | toString }}
{{- if not (or (has $mode (list "dry-run" "close")) (contains "${" $mode)) }}
{{- fail (printf "config.mode: %s: neither dry-run, which closes nobody, nor close" $mode) }}
{{- end }}
{{- range list "auth_server" "integration_key" "user_id" "private_key_file" }}
{{- if not (get (default dict $config.docusign) .) }}{{ fail (printf "config.docusign.%s: not set" .) }}{{ end }}
{{- end }}
{{- if and $config.ledger (not (hasPrefix "sqlite:///var/lib/signoff/" $config.ledger)) }}
{{- fail "config.ledger: not below sqlite:///var/lib/signoff/, where the volume is: leave it out" }}
{{- end }}
{{- range $key, $listen := dict "admin" (($config.admin).listen) "webhook" (($config.webhook).listen) }}
{{- if $listen }}
{{- if regexMatch "^(127\\.|localhost:|\\[::1\\])" $listen }}
{{- fail (printf "config.%s.listen: %s: nobody outside of the pod would reach it: leave it out" $key $listen) }}
{{- end }}
{{- if not (regexMatch ":[0-9]+$" $listen) }}
{{- fail (printf "config.%s.listen: %s: not host:port" $key $listen) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (eq (default "dry-run" $config.mode) "close") (not .Values.persistence.enabled) }}
{{- fail "persistence.enabled: false with config.mode: close: the ledger would be lost with the pod, and with it who was closed and why" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "signoff.validateSecrets" -}}
{{- $files := list }}
{{- range $name, $secret := .Values.secrets }}
{{- range $_, $file := ($secret).items }}
{{- if has $file $files }}{{ fail (printf "secrets.%s.items: %s is the file of another item as well" $name $file) }}{{ end }}
{{- $files = append $files $file }}
{{- end }}
{{- end }}
{{- with include "signoff.missingFiles" (dict "root" . "mounted" (include "signoff.mounted" . | fromJsonArray) "node" .Values.config "at" "config") }}
{{- fail (printf "the config names files that would not be there:%s" .) }}
{{- end }}
{{- end }}

{{/*
The batch under way may take 20 s after SIGTERM (and each user in it would be
looked up again if it were cut off), the admin listener 2 s, the ledger the rest.
*/}}
{{- define "signoff.validateShutdown" -}}
{{- $delay := int .Values.preStop.delaySeconds }}
{{- $least := add $delay 30 }}
{{- if lt (int .Values.terminationGracePeriodSeconds) (int $least) }}
{{- fail (printf "terminationGracePeriodSeconds: %d: less than the %d it takes to stop: %d of preStop.delaySeconds, 20 for the batch under way, 10 for what remains" (int .Values.terminationGracePeriodSeconds) $least $delay) }}
{{- end }}
{{- end }}
