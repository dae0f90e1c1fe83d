{{/* The pod spec of scoring pods and of the shadow: .root, .component, .role, .version. */}}
{{- define "leadscore.pod" -}}
{{- $v := .root.Values -}}
{{- $s := $v.scoring.shutdown -}}
{{- $more := dict "root" .root "of" $v.scoring -}}
{{ include "leadscore.podHead" (merge (dict "of" $v.scoring "uid" 10001 "account" (include "leadscore.account" (dict "given" $v.scoring.serviceAccount "name" (include "leadscore.fullname" .root)))) .) }}
terminationGracePeriodSeconds: {{ add $s.preStopSeconds $s.drainSeconds $s.finishSeconds $s.shipperSeconds 5 }}
{{- if and $v.scoring.topologySpread.enabled (not $v.scoring.topologySpreadConstraints) (not $v.pods.topologySpreadConstraints) }}
topologySpreadConstraints:
  - topologyKey: kubernetes.io/hostname
    maxSkew: 1
    whenUnsatisfiable: {{ $v.scoring.topologySpread.whenUnsatisfiable }}
    labelSelector: {matchLabels: {{ include "leadscore.selector" . | fromYaml | toJson }}}
  - topologyKey: topology.kubernetes.io/zone
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector: {matchLabels: {{ include "leadscore.selector" . | fromYaml | toJson }}}
{{- end }}
{{- if ne $v.model.source "claim" }}
initContainers:
  {{- include "leadscore.modelInit" . | nindent 2 }}
{{- end }}
containers:
  - name: scoring
    image: {{ include "leadscore.image" (dict "image" $v.image "tag" .root.Chart.AppVersion) }}
    imagePullPolicy: {{ $v.image.pullPolicy }}
    {{- with $v.scoring.args }}
    args: {{ toYaml . | nindent 6 }}
    {{- end }}
    ports:
      - {name: http, containerPort: 3000}
    env:
      {{- include "leadscore.scoringEnv" . | nindent 6 }}
    startupProbe:
      httpGet: {path: /livez, port: http}
      periodSeconds: 1
      failureThreshold: {{ $v.scoring.probes.startupSeconds }}
    readinessProbe:
      httpGet: {path: /readyz, port: http}
      periodSeconds: {{ $v.scoring.probes.readinessPeriodSeconds }}
      timeoutSeconds: 2
      failureThreshold: 2
    livenessProbe:
      httpGet: {path: /livez, port: http}
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 3
    lifecycle:
      preStop: {sleep: {seconds: {{ $s.preStopSeconds }}}}
    resources: {{ toYaml $v.scoring.resources | nindent 6 }}
    securityContext:
      {{- include "leadscore.containerSecurity" . | nindent 6 }}
    volumeMounts:
      - {name: home, mountPath: /var/lib/leadscore}
      {{- include "leadscore.modelMount" (dict "root" .root "version" .version "readOnly" true) | nindent 6 }}
      {{- if eq $v.spool.type "existingClaim" }}
      - {name: spool, mountPath: /var/lib/leadscore/spool, subPathExpr: $(POD_NAME)}
      {{- else }}
      - {name: spool, mountPath: /var/lib/leadscore/spool}
      {{- end }}
      {{- if eq $v.scoring.auth "keys" }}
      - {name: api-keys, mountPath: /etc/leadscore, readOnly: true}
      {{- end }}
      - {name: tmp, mountPath: /tmp}
      {{- include "leadscore.moreMounts" $more | nindent 6 }}
volumes:
  - {name: home, emptyDir: {}}
  - {name: tmp, emptyDir: {}}
  {{- if eq $v.model.source "claim" }}
  - name: model
    persistentVolumeClaim: {claimName: {{ $v.model.claim.name }}, readOnly: true}
  {{- else if and (eq $v.model.source "registry") $v.model.registry.cacheClaim }}
  - name: model
    persistentVolumeClaim: {claimName: {{ $v.model.registry.cacheClaim }}}
  {{- else }}
  - {name: model, emptyDir: {}}
  {{- end }}
  {{- if and (eq $v.model.source "registry") $v.mlflow.artifactClaim }}
  - name: artefacts
    persistentVolumeClaim: {claimName: {{ $v.mlflow.artifactClaim }}, readOnly: true}
  {{- end }}
  {{- if eq $v.spool.type "emptyDir" }}
  - {name: spool, emptyDir: {sizeLimit: {{ $v.spool.size }}}}
  {{- else if eq $v.spool.type "ephemeral" }}
  - name: spool
    ephemeral:
      volumeClaimTemplate:
        spec:
          accessModes: [ReadWriteOnce]
          {{- with $v.spool.storageClassName }}
          storageClassName: {{ . }}
          {{- end }}
          resources: {requests: {storage: {{ $v.spool.size }}}}
  {{- else }}
  - name: spool
    persistentVolumeClaim: {claimName: {{ $v.spool.existingClaim }}}
  {{- end }}
  {{- if eq $v.scoring.auth "keys" }}
  - name: api-keys
    secret:
      secretName: {{ include "leadscore.apiKeysSecret" .root }}
      defaultMode: 0440
      items: [{key: {{ $v.apiKeys.secretKey }}, path: api-keys.yaml}]
  {{- end }}
  {{- include "leadscore.moreVolumes" $more | nindent 2 }}
{{- end -}}

{{/*
Where the model is: a folder named outright, or the cache of registered models below LEADSCORE_HOME. `readOnly: false` is left out:
Argo Rollouts writes the object back without it, and a GitOps tool would put it there again and again.
*/}}
{{- define "leadscore.modelMount" -}}
{{- $v := .root.Values -}}
{{- if eq $v.model.source "registry" -}}
- {name: model, mountPath: /var/lib/leadscore/models{{ if .readOnly }}, readOnly: true{{ end }}}
{{- else if eq $v.model.source "claim" -}}
- {name: model, mountPath: /var/lib/leadscore/model, subPathExpr: {{ $v.model.claim.subPath | replace "{version}" "$(LEADSCORE_MODEL_VERSION)" | quote }}, readOnly: true}
{{- else -}}
- {name: model, mountPath: /var/lib/leadscore/model{{ if .readOnly }}, readOnly: true{{ end }}}
{{- end -}}
{{- end -}}

{{- define "leadscore.modelEnv" -}}
{{- $v := .root.Values -}}
- {name: LEADSCORE_HOME, value: /var/lib/leadscore}
- name: LEADSCORE_MODEL_VERSION
  valueFrom: {fieldRef: {fieldPath: "metadata.labels['{{ include "leadscore.versionLabel" . }}']"}}
{{- if eq $v.model.source "registry" }}
- {name: LEADSCORE_MODEL, value: {{ printf "%s/$(LEADSCORE_MODEL_VERSION)" $v.model.name | quote }}}
- {name: LEADSCORE_TRACKING_URI, value: {{ include "leadscore.trackingUri" .root | quote }}}
{{- else }}
- {name: LEADSCORE_MODEL_DIR, value: /var/lib/leadscore/model}
{{- end }}
{{- end -}}

{{- define "leadscore.modelInit" -}}
{{- $v := .root.Values -}}
- name: model
  {{- if eq $v.model.source "image" }}
  # A tag cannot read the label. What it names is written down beside the artefact, and the service starts only if both agree.
  image: {{ include "leadscore.image" (dict "image" $v.model.image "tag" .version) }}
  imagePullPolicy: {{ $v.model.image.pullPolicy }}
  command: [sh, -c, 'cp -R "$0/." /var/lib/leadscore/model/ && printf %s "$LEADSCORE_ARTEFACT_VERSION" > /var/lib/leadscore/artefact-version', {{ $v.model.image.path | quote }}]
  env:
    - {name: LEADSCORE_ARTEFACT_VERSION, value: {{ .version | quote }}}
  {{- else }}
  image: {{ include "leadscore.image" (dict "image" $v.jobsImage "tag" .root.Chart.AppVersion) }}
  imagePullPolicy: {{ $v.jobsImage.pullPolicy }}
  command: {{ toYaml $v.model.registry.fetchCommand | nindent 4 }}
  env:
    - {name: HOME, value: /tmp}
    {{- include "leadscore.modelEnv" . | nindent 4 }}
    {{- include "leadscore.caEnv" .root | nindent 4 }}
  {{- with $v.model.registry.envFrom }}
  envFrom: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  resources:
    requests: {cpu: 50m, memory: 64Mi}
    limits: {memory: 1Gi}
  securityContext:
    {{- include "leadscore.containerSecurity" . | nindent 4 }}
  volumeMounts:
    - {name: home, mountPath: /var/lib/leadscore}
    {{- include "leadscore.modelMount" (dict "root" .root "version" .version "readOnly" false) | nindent 4 }}
    {{- if and (eq $v.model.source "registry") $v.mlflow.artifactClaim }}
    - {name: artefacts, mountPath: /artefacts, readOnly: true}
    {{- end }}
    - {name: tmp, mountPath: /tmp}
    {{- include "leadscore.moreMounts" (dict "root" .root "of" $v.scoring) | nindent 4 }}
{{- end -}}

{{- define "leadscore.scoringEnv" -}}
{{- $v := .root.Values -}}
{{- $c := $v.scoring -}}
{{- include "leadscore.modelEnv" . }}
- name: LEADSCORE_VERSION_LABEL
  valueFrom: {fieldRef: {fieldPath: "metadata.labels['{{ include "leadscore.versionLabel" . }}']"}}
{{- if eq $v.model.source "image" }}
- {name: LEADSCORE_ARTEFACT_VERSION_FILE, value: /var/lib/leadscore/artefact-version}
{{- end }}
- {name: LEADSCORE_ROLE, value: {{ .role }}}
- name: LEADSCORE_POD_TEMPLATE_HASH
  valueFrom: {fieldRef: {fieldPath: "metadata.labels['{{ .hashLabel }}']"}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- {name: LEADSCORE_AUTH, value: {{ $c.auth | quote }}}
- {name: LEADSCORE_API_KEYS, value: /etc/leadscore/api-keys.yaml}
{{- with $v.auth.trustedProxies }}
- {name: LEADSCORE_TRUSTED_PROXIES, value: {{ join "," . | quote }}}
{{- end }}
{{- with include "leadscore.oidcEnv" .root }}
{{ . }}
{{- end }}
- {name: LEADSCORE_REASONS, value: {{ int64 $c.reasons | quote }}}
- {name: LEADSCORE_MAX_LEAD_BYTES, value: {{ int64 $c.maxLeadBytes | quote }}}
- {name: LEADSCORE_MAX_BODY_BYTES, value: {{ int64 $c.maxBodyBytes | quote }}}
- {name: LEADSCORE_MAX_BULK_ROWS, value: {{ int64 $c.maxBulkRows | quote }}}
- {name: LEADSCORE_SPOOL_DIR, value: /var/lib/leadscore/spool}
- {name: LEADSCORE_SPOOL_MAX_BYTES, value: {{ int64 $v.spool.maxBytes | quote }}}
- {name: LEADSCORE_SPOOL_ON_FULL, value: {{ $v.spool.onFull }}}
{{ include "leadscore.databaseEnv" (dict "root" .root "name" "LEADSCORE_EVENTS_URL" "scheme" "postgresql" "database" "leadscore" "existingSecret" $v.events.existingSecret "urlKey" $v.events.urlKey) | trim }}
- {name: LEADSCORE_DRAIN_S, value: {{ $c.shutdown.drainSeconds | quote }}}
- {name: LEADSCORE_SHUTDOWN_S, value: {{ $c.shutdown.finishSeconds | quote }}}
- {name: LEADSCORE_LOG_SAMPLE, value: {{ $c.logSample | quote }}}
- {name: LEADSCORE_SLOW_MS, value: {{ $c.slowMs | quote }}}
{{- with $c.otlpEndpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
- {name: LEADSCORE_TRACE_SAMPLE, value: {{ $c.traceSample | quote }}}
{{- end }}
- {name: HOME, value: /tmp}
- {name: BENTOML_HOME, value: /tmp/bentoml}
{{- include "leadscore.caEnv" .root }}
{{- with $c.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
