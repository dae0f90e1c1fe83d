{{- define "leadscore.analysisArgs" -}}
- name: canary-hash
  valueFrom: {podTemplateHashValue: Latest}
- name: stable-hash
  valueFrom: {podTemplateHashValue: Stable}
{{- range include "leadscore.expectedArgs" . | fromYamlArray }}
- name: {{ . }}
  valueFrom: {fieldRef: {fieldPath: "metadata.annotations['leadscore.dev/{{ . }}']"}}
{{- end }}
{{- end -}}

{{/* What an approved replay has found (docs/decisions/0015): annotations that the operator sets in the patch that starts the canary. */}}
{{- define "leadscore.expectedArgs" -}}
[expected-candidate, expected-stable, expected-score-psi, expected-score-psi-spread, expected-grade-psi, expected-grade-psi-spread]
{{- end -}}

{{/* Label matchers of a version's series: .root, .hash (canary-hash or stable-hash), .more. */}}
{{- define "leadscore.series" -}}
{{- $matchers := list (printf "pod_template_hash=\"{{args.%s}}\"" .hash) -}}
{{- with tpl .root.Values.prometheus.matcher .root -}}{{- $matchers = prepend $matchers . -}}{{- end -}}
{{- with .more -}}{{- $matchers = append $matchers . -}}{{- end -}}
{{ "{" }}{{ join "," $matchers }}{{ "}" }}
{{- end -}}

{{- define "leadscore.scoringEndpoints" -}}
endpoint=~"/score-lead|/score-leads|/explain-prediction|/outcomes"
{{- end -}}

{{- define "leadscore.errorRateQuery" -}}
{{- $all := include "leadscore.series" (dict "root" .root "hash" "canary-hash" "more" (include "leadscore.scoringEndpoints" .)) -}}
{{- $bad := include "leadscore.series" (dict "root" .root "hash" "canary-hash" "more" (printf "%s,status=~\"5..\"" (include "leadscore.scoringEndpoints" .))) -}}
(sum(increase(leadscore_http_requests_total{{ $bad }}[{{ .window }}])) or vector(0))
  / sum(increase(leadscore_http_requests_total{{ $all }}[{{ .window }}]))
  and sum(increase(leadscore_http_requests_total{{ $all }}[{{ .window }}])) >= {{ .minimum }}
{{- end -}}

{{- define "leadscore.p95" -}}
histogram_quantile(0.95, sum by (le) (rate(leadscore_http_request_duration_seconds_bucket{{ include "leadscore.series" (dict "root" .root "hash" .hash "more" "endpoint=\"/score-lead\"") }}[{{ .window }}])))
{{- end -}}

{{- define "leadscore.enoughLatencies" -}}
sum(increase(leadscore_http_request_duration_seconds_count{{ include "leadscore.series" (dict "root" .root "hash" .hash "more" "endpoint=\"/score-lead\"") }}[{{ .window }}])) >= {{ .minimum }}
{{- end -}}

{{- define "leadscore.p95Query" -}}
{{ include "leadscore.p95" (merge (dict "hash" "canary-hash") .) }}
  and {{ include "leadscore.enoughLatencies" (merge (dict "hash" "canary-hash") .) }}
{{- end -}}

{{- define "leadscore.p95RatioQuery" -}}
{{ include "leadscore.p95" (merge (dict "hash" "canary-hash") .) }}
  / clamp_min({{ include "leadscore.p95" (merge (dict "hash" "stable-hash") .) }}, {{ .root.Values.analysis.p95FloorSeconds }})
  and {{ include "leadscore.enoughLatencies" (merge (dict "hash" "canary-hash") .) }}
  and {{ include "leadscore.enoughLatencies" (merge (dict "hash" "stable-hash") .) }}
{{- end -}}

{{- define "leadscore.counts" -}}
sum by ({{ .bin }}) (increase({{ .metric }}{{ include "leadscore.series" . }}[{{ .window }}]))
{{- end -}}

{{/* Shares per bin; half a lead in every bin keeps one that is empty in one version from making the PSI infinite. */}}
{{- define "leadscore.shares" -}}
{{- $counts := printf "(%s + 0.5)" (include "leadscore.counts" .) -}}
{{ $counts }} / scalar(sum({{ $counts }}))
{{- end -}}

{{/* 1/n + 1/m, by which everything shrinks that is chance. */}}
{{- define "leadscore.perLead" -}}
(1 / sum({{ include "leadscore.counts" (index . 0) }}) + 1 / sum({{ include "leadscore.counts" (index . 1) }}))
{{- end -}}

{{/*
The PSI, less what two samples of these sizes differ by chance, less what the approved replay of exactly these two versions
found: (bins - 1) (1/n + 1/m) is the mean of the PSI of two samples of one distribution. A PSI that is large is also unsure:
four standard errors, because the guard looks thousands of times. An argument that nobody has set is
empty: it then names no version and adds nothing.
Bins without a lead in either version say nothing, whatever the half leads make of them.
*/}}
{{- define "leadscore.psiQuery" -}}
{{- $canary := merge (dict "hash" "canary-hash") . -}}
{{- $stable := merge (dict "hash" "stable-hash") . -}}
sum(
    ({{ include "leadscore.shares" $canary }} - {{ include "leadscore.shares" $stable }})
    * ln(({{ include "leadscore.shares" $canary }}) / ({{ include "leadscore.shares" $stable }}))
    and ({{ include "leadscore.counts" $canary }} + {{ include "leadscore.counts" $stable }}) > 0
  )
  - (count(({{ include "leadscore.counts" $canary }} + {{ include "leadscore.counts" $stable }}) > 0) - 1)
    * {{ include "leadscore.perLead" (list $canary $stable) }}
  - (
    sgn(count(leadscore_model_info{{ include "leadscore.series" (merge (dict "more" "model_version=\"{{args.expected-candidate}}\"") $canary) }}))
    * sgn(count(leadscore_model_info{{ include "leadscore.series" (merge (dict "more" "model_version=\"{{args.expected-stable}}\"") $stable) }}))
    * (({{ printf "{{args.expected-%s}}" .name }} + 0)
      + 4 * sqrt(({{ printf "{{args.expected-%s-spread}}" .name }} + 0) * {{ include "leadscore.perLead" (list $canary $stable) }}))
    or vector(0)
  )
  and sum(increase({{ .metric }}{{ include "leadscore.series" $canary }}[{{ .window }}])) >= {{ .minimum }}
  and sum(increase({{ .metric }}{{ include "leadscore.series" $stable }}[{{ .window }}])) >= {{ .minimum }}
{{- end -}}

{{- define "leadscore.traefikErrorsQuery" -}}
{{- $service := printf "service=~\"%s-%s-canary-(80|http)@kubernetescrd\"" .root.Release.Namespace (include "leadscore.fullname" .root) -}}
(sum(increase(traefik_service_requests_total{{ "{" }}{{ $service }},code=~"5.."{{ "}" }}[{{ .window }}])) or vector(0))
  / sum(increase(traefik_service_requests_total{{ "{" }}{{ $service }}{{ "}" }}[{{ .window }}]))
  and sum(increase(traefik_service_requests_total{{ "{" }}{{ $service }}{{ "}" }}[{{ .window }}])) >= {{ .minimum }}
{{- end -}}

{{/*
One metric. The guard says nothing about what it does not see; the gate wants to see: NaN and an empty answer are
neither success nor failure, which is inconclusive. It then looks again, for a Rollout that waits in an analysis is still
guarded, and one that is paused as inconclusive is not (v1.10.1, rollout/analysis.go); in the end it pauses for a person.
*/}}
{{- define "leadscore.metric" -}}
{{- $bad := printf "len(result) > 0 && !isNaN(result[0]) && result[0] > %v" .limit -}}
- name: {{ .name }}
  {{- if .gate }}
  interval: {{ .root.Values.analysis.gate.interval }}
  # One look that sees enough ends it; Argo wants an end for every metric of a step.
  consecutiveSuccessLimit: 1
  count: {{ add1 (int64 .root.Values.analysis.gate.inconclusiveLimit) }}
  failureLimit: 0
  inconclusiveLimit: {{ int64 .root.Values.analysis.gate.inconclusiveLimit }}
  consecutiveErrorLimit: 4
  successCondition: len(result) > 0 && !isNaN(result[0]) && result[0] <= {{ .limit }}
  {{- else }}
  {{- with .initialDelay }}
  # These series do not tell versions apart: one that was sent back a moment ago must not speak for this one.
  initialDelay: {{ . }}
  {{- end }}
  interval: {{ .root.Values.analysis.guard.interval }}
  failureLimit: {{ .root.Values.analysis.guard.failureLimit }}
  inconclusiveLimit: 0
  consecutiveErrorLimit: {{ .root.Values.analysis.guard.consecutiveErrorLimit }}
  successCondition: len(result) == 0 || isNaN(result[0]) || result[0] <= {{ .limit }}
  {{- end }}
  failureCondition: {{ $bad }}
  provider:
    prometheus:
      address: {{ .root.Values.prometheus.address }}
      query: |
        {{- include .query . | nindent 8 }}
{{- end -}}

{{/* Asked once, when the progress deadline has passed: the figures that a pod exports only with its model loaded. */}}
{{- define "leadscore.readyMetric" -}}
- name: became-ready
  initialDelay: {{ .root.Values.workload.progressDeadlineSeconds }}s
  count: 1
  failureLimit: 0
  consecutiveErrorLimit: {{ .root.Values.analysis.guard.consecutiveErrorLimit }}
  successCondition: result[0] >= 1
  failureCondition: result[0] < 1
  provider:
    prometheus:
      address: {{ .root.Values.prometheus.address }}
      query: |
        count(leadscore_model_info{{ include "leadscore.series" (dict "root" .root "hash" "canary-hash") }}) or vector(0)
{{- end -}}

{{/* An AnalysisTemplate: .name guard, gate or watch (a gate at weight 100, where stable has no traffic to compare with). */}}
{{- define "leadscore.analysisTemplate" -}}
{{- $a := .root.Values.analysis -}}
{{- $gate := ne .name "guard" -}}
{{- $window := ternary "{{args.window}}" $a.guard.window $gate -}}
{{- $of := dict "root" .root "gate" $gate "window" $window "minimum" (ternary $a.gate.minimumRequests $a.guard.minimumRequests $gate | int64) -}}
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata:
  name: {{ include "leadscore.fullname" .root }}-{{ .name }}
  labels: {{ include "leadscore.labels" (dict "root" .root "component" "scoring") | nindent 4 }}
spec:
  args:
    - name: canary-hash
    - name: stable-hash
    {{- if ne .name "watch" }}
    {{- range include "leadscore.expectedArgs" . | fromYamlArray }}
    - {name: {{ . }}, value: ""}
    {{- end }}
    {{- end }}
    {{- if $gate }}
    - name: window
    {{- end }}
  metrics:
    {{- include "leadscore.metric" (merge (dict "name" "error-rate" "limit" $a.maxErrorRate "query" "leadscore.errorRateQuery") $of) | nindent 4 }}
    {{- include "leadscore.metric" (merge (dict "name" "p95-seconds" "limit" $a.maxP95Seconds "query" "leadscore.p95Query") $of) | nindent 4 }}
    {{- if $a.traefikMetrics }}
    {{- include "leadscore.metric" (merge (dict "name" "traefik-error-rate" "limit" $a.maxErrorRate "query" "leadscore.traefikErrorsQuery" "initialDelay" $a.guard.window) $of) | nindent 4 }}
    {{- end }}
    {{- if not $gate }}
    {{- include "leadscore.readyMetric" (dict "root" .root) | nindent 4 }}
    {{- end }}
    {{- if ne .name "watch" }}
    {{- include "leadscore.metric" (merge (dict "name" "p95-against-stable" "limit" $a.maxP95Ratio "query" "leadscore.p95RatioQuery") $of) | nindent 4 }}
    {{- $psi := merge (dict "limit" $a.maxPsi "query" "leadscore.psiQuery" "minimum" (int64 $a.gate.minimumScores)) $of }}
    {{- include "leadscore.metric" (merge (dict "name" "score-psi" "metric" "leadscore_probability_bin_total" "bin" "bin") $psi) | nindent 4 }}
    {{- include "leadscore.metric" (merge (dict "name" "grade-psi" "metric" "leadscore_leads_total" "bin" "grade") $psi) | nindent 4 }}
    {{- end }}
{{- end -}}
