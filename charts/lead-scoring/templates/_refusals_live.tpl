{{/* Changes that a living release does not survive; each with a sentence that says what to do instead. */}}
{{- define "leadscore.refuseLive" -}}
{{- $v := .Values -}}
{{- $name := include "leadscore.fullname" . -}}
{{- $part := default .Chart.Name $v.nameOverride -}}
{{- range include "leadscore.liveWorkloads" . | fromYamlArray -}}
{{- if ne .kind $v.workload.kind -}}
{{- fail (printf "workload.kind is %s and this release runs as a %s: Helm would take its pods away before the others are ready, and Argo's selector in the stable Service matches no Deployment's pod. Requests would be lost for minutes. Install a second release with workload.kind=%s under another name and trafficRouting.host, let callers move, then uninstall this one." $v.workload.kind .kind $v.workload.kind) -}}
{{- end -}}
{{- if or (ne .metadata.name $name) (ne (get .metadata.labels "app.kubernetes.io/name") $part) -}}
{{- fail (printf "nameOverride and fullnameOverride cannot change in the life of a release: its objects are named %s (app.kubernetes.io/name=%s), these values name them %s (%s), and selectors never change. Set them back, or install a second release, let callers move, then uninstall this one." .metadata.name (get .metadata.labels "app.kubernetes.io/name") $name $part) -}}
{{- end -}}
{{- end -}}
{{- include "leadscore.refuseLiveTraffic" . -}}
{{- if $v.postgresql.enabled -}}
{{- include "leadscore.refuseLiveClaim" . -}}
{{- end -}}
{{- end -}}

{{/* A StatefulSet's claims are as they were made. */}}
{{- define "leadscore.refuseLiveClaim" -}}
{{- $p := .Values.postgresql.persistence -}}
{{- $name := printf "%s-postgresql" (include "leadscore.fullname" .) -}}
{{- with lookup "apps/v1" "StatefulSet" .Release.Namespace $name -}}
{{- $claims := default list .spec.volumeClaimTemplates -}}
{{- if ne (gt (len $claims) 0) $p.enabled -}}
{{- fail (printf "postgresql.persistence.enabled cannot change in the life of a release. Set it back to %v; or back the database up (pg_dump), kubectl -n %s delete statefulset %s, upgrade, and restore." (not $p.enabled) $.Release.Namespace $name) -}}
{{- end -}}
{{- range $claims -}}
{{- $size := .spec.resources.requests.storage -}}
{{- if ne (include "leadscore.bytes" $size) (include "leadscore.bytes" $p.size) -}}
{{- fail (printf "postgresql.persistence.size cannot change in the life of a release: set it back to %s. To have more room, enlarge the claim itself (its StorageClass must allow it): kubectl -n %s patch pvc data-%s-0 -p '{\"spec\":{\"resources\":{\"requests\":{\"storage\":\"%s\"}}}}'" $size $.Release.Namespace $name (toString $p.size)) -}}
{{- end -}}
{{- if ne (default "" .spec.storageClassName) $p.storageClassName -}}
{{- fail (printf "postgresql.persistence.storageClassName cannot change in the life of a release. Set it back to %q." (default "" .spec.storageClassName)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
After an undo, and in a canary's last step, all traffic is on pods that Argo Rollouts does not yet call stable. A changed pod template
would begin a canary beside those that it does: traffic would go back to the version that was left. Another version alone is meant so.
*/}}
{{- define "leadscore.refuseLiveTraffic" -}}
{{- $live := include "leadscore.live" . | fromYaml -}}
{{- $status := default dict $live.status -}}
{{- $steps := dig "spec" "strategy" "canary" "steps" list $live -}}
{{- if and (include "leadscore.canary" .) $status.stableRS (not $status.abort) (ne (toString $status.stableRS) (toString $status.currentPodHash)) -}}
{{- $weight := dig "canary" "weights" "canary" "weight" 0 $status | int -}}
{{- if and (or (eq $weight 100) (and $steps (ge (int $status.currentStepIndex) (len $steps)))) (ne (include "leadscore.templateDigest" .) (dig "metadata" "annotations" (include "leadscore.templateAnnotation" .) "" $live)) -}}
{{- $name := include "leadscore.fullname" . -}}
{{- fail (printf "All traffic is on pods that Argo Rollouts does not call stable yet (an undo, or a canary's last step), and these values change the pods: they would be a new canary beside the version that was left, which would get the traffic back. Wait until the Rollout is Healthy (kubectl argo rollouts -n %s status %s), or end the canary now (kubectl argo rollouts -n %s promote %s --full), then upgrade." .Release.Namespace $name .Release.Namespace $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
