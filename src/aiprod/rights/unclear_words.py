"""What free words about a film say of rights that is not understood: a title, a description, a tag.

Such words are mostly about something else, so silence of them permits nothing and forbids nothing. But a sentence that
speaks of a licence, of copyright, of rights, of permission or consent, or of where somebody took the film from, says
something, and in more ways than anybody can list. It is read like a cell of its own: it names a licence that is known,
it names an owner, or it is one of the few things that such words also mean. Otherwise it is quoted, and denies.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import NamedTuple

from aiprod.rights.licence_words import UNKNOWN, quoted, read_licence
from aiprod.rights.owners import names_somebody
from aiprod.rights.training_opt_outs import MAX_CELL, latin, readable

# The words for what is the owner's to say, as `readable` writes them. A sentence with one of them is read strictly.
_TOPICS = (
    # licence
    r"\b(?:un|sub|re)?licen[csz]\w*|\blizenz\w*|\blicentie\w*|\blisens\w*|\blisenssi\w*|лиценз\w*|ліценз\w*|许可|"
    r"許可|授权|授權|ライセンス|라이[선센]스|رخصة|ترخيص|רישיון|"
    # copyright
    r"\bcopy ?rights?(?:ed|able)?\b|\bcopyleft\w*|\burheber\w*|\bdroits? d'auteurs?\b|\bdroit moral\b|"
    r"\bderechos? de autor\w*|\bdiritt[oi] d'autore\b|\bdireitos? autora\w*|\bautorsk\w+|\bauteursrecht\w*|"
    r"\bupphovsratt\w*|\bophavsret\w*|\bopphavsrett\w*|\btekijanoike\w*|\bszerzoi\w*|авторск\w+|版权|版權|著作[权權]|"
    r"저작권|"
    # rights
    r"\brights?(?:holders?|owners?)\b|\brights\b|\brechte(?:inhaber\w*|lage|klarung|frei)\b|\b\w+rechte\b|"
    r"\bkeine rechte\b|\brechte (?:\w+ )?(?:un\w+|offen|fehl\w+|pruf\w+|bei|liegen|gesichert|geklart|noch|tbc|tbd|"
    r"\?)|\bdroits\b|\bdroit a l'image\b|\bderechos\b|\bdiritti\b|\bdireitos\b|\bprawa (?:do|autor|wylacz|maj)\w*|"
    r"\brecht am \w+ bild\b|\bproperty rights?\b|\bright of publicity\b|\bright to be forgotten\b|"
    r"\bresidual rights?\b|"
    # permission, clearance and consent
    r"\bpermissions?\b|\bauthori[sz]ation\b|\buncleared\b|"
    r"\b(?:needs?|needed|requires?|awaiting|pending|no|missing|music|rights|legal) clearance\b|"
    r"\bclearance (?:is )?(?:needed|required|pending|missing|open|tbc|outstanding)\b|\bgenehmig\w*|\berlaubnis\w*|"
    r"\bzustimmung\w*|\beinwillig\w*|\bautorisation\w*|\bautorizac\w+|\bcon (?:el )?permiso\b|"
    r"\bcon (?:il )?permesso\b|\bpermissao\b|\btoestemming\w*|\btillatelse\w*|\btilladelse\w*|\bzgody\b|\bsouhlas\w*|"
    r"\bразрешени[яею]\w*|\bconsent(?:ed|s)?\b|\breleases? (?:form|missing|pending|un\w+)\b|"
    r"\b(?:un)?signed releases?\b|\b(?:model|property|talent|location|minor) releases?\b|"
    # what an owner is paid, or asks to be told
    r"\broyalt(?:ies\b|y (?:free|bearing|due|rates?|based|payable))|\bcourtesy of\b|\bby courtesy\b|\bpor cortesia\b|"
    r"\bgentile concessione\b|\baimable autorisation\b|\bfreundlich\w* genehmigung\b|\bby arrangement with\b|"
    # protection
    r"\bproprietary\b|\b(?:our|my|their|his|her|the) intellectual property\b|\binfringement\b|\bpirated\b|"
    r"\bboot ?legs?\b|\bdmca\b|\btake ?downs? (?:request\w*|notices?|pending)\b|"
    r"\btake down (?:this|the) (?:film|video|clip)\b|"
    r"\b(?:tdm|tdmrep|c2pa|cawg|opt(?:ed|ing)? out (?:of|from) (?:ai|ml|training|tdm|data)|"
    r"no ?(?:index|archive|snippet|imageindex)|nofollow|trainable|dmi|rsl)\b"
)
# What is said of using it, and of where it is from, without any of these words.
_USE = (
    r"(?:shar(?:e|ed|ing)|publish\w*|republish\w*|publication|re ?distribut\w+|distribut\w+|broadcast(?:ed|ing)?|"
    r"re ?sales?|re ?sell|duplicat\w+|copy|copied|copying|reproduc\w+|re ?us(?:e|ed|ing)|scrap(?:e|ed|ing)|"
    r"licen[cs]\w+|sub ?licen[cs]\w+|leak\w*|re ?host\w*|re ?post\w*|re ?upload\w*|"
    r"public (?:release|use|display|view\w*|screening)|screening|tokeni[sz]\w+|commerce|profit)"
)
_ELSEWHERE = (
    r"(?:you ?tube|netflix|television|tv|tik ?tok|instagram|facebook|vimeo|disney\w*|hulu|prime video|amazon prime|"
    r"twitch|bbc\w*|itv|hbo\w*|twitter|reddit|telegram|whats ?app|(?:the )?(?:inter)?net|the web|online|dvds?|"
    r"blu ?rays?|vhs|a movie|a film|movies|films|broadcast|air)"
)
_FORMS = (
    # not to be used
    rf"\b(?:do not|don't|dont|must not|may not|never|not to be|please don't|not for|no) (?:be )?(?:re ?)?{_USE}\b|"
    r"\bdo not (?:air|release|stream|upload|download|post|forward|rip|show|view|open|process|ingest|index|embed|"
    r"analy[sz]e|learn)(?: (?:this|it|these|publicly|online|from|anywhere|yet)\b|$)|\bnot (?:for|on) air$|"
    r"\boff[ -]?limits\b|\boff the record\b|\b(?:nicht|keine?|nie) (?:\w+ ){0,3}?(?:weitergeb\w*|weitergegeben|"
    r"veroffentlich\w*|verbreit\w*|nachnutz\w*|weiterverw\w*|weitergabe|lizenz\w*|ausstrahl\w*|hochlad\w*|"
    r"kopier\w*)\b|\b(?:nachnutzung|weiterverwendung|weitergabe) (?:\w+ )?(?:aus|un|nicht)\w*|"
    r"\bne pas (?:diffus|partag|publi|copi|reprodui|distribu|utilis|divulgu|revend|telecharg)\w*|"
    r"\bdiffusion (?:restreinte|interdite|limitee)\b|"
    r"\b(?:no|non|nao) (?:compart|difund|public|copiar|distribu|divulg|reprod|diffond|condivid|pubblic|copiare|"
    r"riprodur|partilh|utiliz|revend)\w*|\bniet (?:\w+ ){0,2}?(?:delen|verspreiden|publiceren|kopieren|openbaar)\b|"
    r"\bnie (?:rozpowszechn|udostepn|publikow|kopiow|powiel)\w*|"
    r"\bне (?:для )?(?:распростран|публик|копир|показыв|передав)\w*|"
    r"\b(?:far ej|far inte|skal ikke|ma ikke|ikke) (?:del|spr|kopier|public|vis)\w*|"
    r"勿(?:传播|轉載|转载|使用|复制|下载|外传)|严禁|保密|机密|機密|非公開|取扱注意|複製|대외비|공유 ?금지|배포 ?금지|"
    r"\btraining? ?[:=] ?(?:no|false|0)\b|\btrain ?[:=] ?(?:no|false|0|n)\b|"
    r"\b(?:entrainement|entrenamiento|entrenar|addestramento|treinamento|treino|"
    r"обучени\w+) (?:\w+ ){0,2}?(?:interdit\w*|no|prohibid\w+|proibid\w+|vietat\w+|запрещен\w*)\b|"
    r"\b(?:anti|no) ?-?ai\b|\bai[ -]free zone\b|\b(?:no|without) bots\b|"
    r"\bbots (?:are )?(?:forbidden|banned|out|prohibited)\b|\b(?:out of|not in|not for) (?:\w+ )?data ?sets?\b|"
    r"\b(?:away|off) (?:from )?(?:\w+ )?models\b|\bno machines$|"
    r"\bno (?:\w+ )?(?:digital )?(?:replicas?|doubles|likeness)\b|"
    r"\b(?:likeness|residuals|union rules) (?:\w+ )?(?:use|appl\w+|reserved)\b|"
    # only for some uses
    r"\b(?:non ?profit|academic|scientific|educational|internal|promotional|teaching|school|charit(?:y|able)|news|"
    r"press|class ?room|official|evaluation|redaktionell\w*|intern\w*|editorial) (?:use|usage|purposes?|verwendung|"
    r"nutzung|gebrauch)\b|\b(?:usage|utilisation) (?:interne|editorial\w*|scientifique|pedagogique|scolaire)\b|"
    r"\b(?:uso|solo|solamente|somente|apenas|soltanto) (?:interno|editorial\w*|didattico|educativo|investigac\w+|"
    r"ricerca|pesquisa|academic\w+)\b|\bnur (?:fur|zu|zur|zum|intern\w*|"
    r"redaktionell\w*) ?(?:\w+ ){0,2}?(?:unterricht\w*|forschung\w*|schul\w*|intern\w*|gebrauch|nutzung|zwecke?n?|"
    r"ansicht|lehre)?$|\bдля служебного\b|\bfor (?:research|teaching|education|academic|scientific|comps?|reference|"
    r"approval|position|charity|review)(?: (?:purposes?|use|only|copy))*$|"
    r"\bexcl(?:uding|\.)? (?:the )?(?:us|usa|uk|eu)\b|\bexclusiv\w+ (?:to|rights|for|property|footage of)\b|"
    r"\b(?:unless|except|where not?|if not) (?:where )?(?:otherwise )?(?:otherwise|noted|stated|indicated|marked)\b|"
    r"\b(?:usa?|canada|uk) only\b|\bpd[ -](?:us|usa|canada|uk)\b|"
    r"\bpublic domain in (?:the )?(?:us|usa|uk|canada|eu)\b|\bnot pd\b|\bembargo\w* \d|"
    # of somebody else, or of nobody that is known
    rf"\b(?:down ?loaded|ripped|recorded|captured|grabbed|screen ?record(?:ed|ing)|taken|stolen|sourced|borrowed|"
    rf"clipped) (?:\w+ ){{0,2}}?(?:from|off|of) {_ELSEWHERE}$|^(?:found (?:\w+ )?(?:on|from) )(?:the )?{_ELSEWHERE}$|"
    r"^from (?:you ?tube|netflix|tik ?tok|instagram|facebook|vimeo|twitter|reddit|the internet)\b|"
    r"\bscreen recording of\b|\b(?:web ?dl|web ?rip|hd ?cam|cam ?rip|bd ?rip|dvd ?(?:rip|scr)|hd ?tv ?rip|hd ?rip|"
    r"vhs ?rip|telesync|you ?tube rip|blu ?ray rip|tv ?rip|off ?air recording)\b|"
    r"\b(?:do not|don't|doesn't|not) own (?:this|it|the|any|rights)\b|\bi own nothing\b|\bno copyright intended\b|"
    r"^(?:this is )?not (?:mine|ours|my (?:film|video|work|footage)|our (?:film|video|work|footage))$|"
    r"\bcredits? (?:goes |go |belongs? )?to (?:the |its |their |all )?(?:\w+ )?(?:owners?|creators?|artists?)\b|"
    r"\b(?:respective|rightful|original|its|their) owners?\b|^(?:this )?(?:film |video |footage )?belongs? to\b|"
    r"\bunknown (?:owners?|authors?|sources?|rights ?holders?|origin|creators?)\b|"
    r"\b(?:owner|author|source|rights ?holder|creator)s? (?:is |are |was )?(?:unknown|not known|not found|"
    r"unidentified)\b|\b(?:who owns|whose is)\b|"
    # of people who were not asked, or asked for it back
    r"\b(?:nobody|no one|not|never|nicht|ungefragt) (?:was |were |\w+ )?(?:asked|signed|gefragt|informed)\b|"
    r"\bwithout (?:their|her|his|our) knowledge\b|\b(?:secretly|covertly|heimlich) (?:filmed|gefilmt|recorded|taped|"
    r"shot)\b|\b(?:filmed|recorded) (?:covertly|secretly)\b|"
    r"\b(?:did not|didn't|do not|don't|does not|doesn't|never) (?:agree|want (?:this|it|to be)|consent)\w*|"
    r"\b(?:patient|medical) (?:data|records?|videos?)\b|\b(?:hipaa|contains phi)\b|"
    r"\b(?:art|article|artikel) (?:17|21) (?:\w+ )?(?:dsgvo|gdpr|rgpd)\b|\b(?:22|23) kug\b|"
    r"\b(?:erasure|deletion) request\w*|\b(?:legal hold|under litigation|sub judice|court order|in dispute)\b|"
    r"^(?:please )?delete(?: (?:me|this|it))?$|^(?:to be deleted|zu loschen|a supprimer|para borrar|da cancellare|"
    r"te verwijderen|loschen)$|"
    # kept inside, or for later
    r"\bcopyright (?:\w+ )?(?:disputes?|claims?|strikes?|status|to be|unclear|unknown|pending|violation\w*)\b|"
    r"\b(?:intern\w{0,5}|wewnetrzn\w*|sisais\w*|belso|внутренн\w+) (?:\w+ )?(?:gebruik|bruk|brug|kayt\w+|uzyt\w+|"
    r"pouzit\w*|hasznal\w*|пользован\w*|использован\w*)\b|内部使用|社内|外秘|사내용|"
    r"\b(?:keep|stays?) (?:this |it )?(?:strictly )?(?:private|confidential|secret)\b|"
    r"\bdo not make (?:this |it )?public\b|^(?:\w+ )?private recording$|^for (?:the )?(?:family|friends)\b|"
    r"\bfreigabe (?:\w+ )?(?:steht|fehlt|offen|aus)\b|\bnicht freigegeben\b|\bgesperrt\b|"
    r"\bsperr(?:frist|vermerk|en)\b|\bnur (?:nach|mit) (?:\w+ ){0,2}?(?:absprache|rucksprache|quellenangabe|"
    r"anfrage)\b|\busage restreint\b|\baccord (?:requis|necessaire)\b|\briservato a\w*\b|\bniet voor publicatie\b|"
    r"\b(?:pending|awaiting|after) (?:\w+ )?(?:legal|lawyers?|review|approval|signature)\b|"
    r"\blegal (?:has not|hasn't|did not|must|to) (?:approve|clear|check|sign)\w*|"
    r"\b(?:parents?|guardians?|subjects?|participants?|models?|actors?|actress|talent|performers?) (?:has |"
    r"have )?(?:refused|withdrew|withdrawn|objected|declined|(?:did|has|have) not (?:sign|agree|consent)\w*)\b|"
    r"\bdata subjects?\b|\b(?:gdpr|dsgvo|rgpd)\b|\bretention (?:period |date )?(?:expire\w*|ends?|over)\b|"
    r"\b(?:excerpt|extract(?:ed)?|clip|scene|taken|bought|reuploaded|mirrored) (?:from|of) (?:a|an|"
    r"the) (?:\w+ ){0,2}?(?:movie|series|show|broadcast|blu ?ray|dvd|stock (?:site|library|agency)|deleted video|"
    r"tv \w+)\b|\bnot my (?:content|upload)\b|\bre ?uploaded$|\b(?:material|footage|film|video|content) belongs to\b|"
    r"\bnot (?:\w+ )?training (?:data|material)\b|\bno (?:\w+ )?training (?:data|material)\b|"
    r"\b(?:keep|stay) (?:\w+ )?ai (?:\w+ )?(?:away|out|off)\b|\bai (?:use|usage) ?: ?ask\b|"
    r"\bno machines? (?:may|can|must|shall)\b|\b(?:do not|don't) (?:post|upload|put) this\b|"
    # forbidden, or left out, in general words
    r"\b(?!(?:smok|park|swimm|fish|div|camp|hunt|fly|cycl|skat|litter|runn|enter|walk|climb|driv|overtak|feed|"
    r"cross)ing)\w+(?:ing|tion) (?:is )?(?:strictly )?(?:prohibited|forbidden|banned|not (?:allowed|permitted))\b|"
    r"\b(?:this|these|algorithms?|machines?|bots?|models?|companies) (?:must|may|shall|should|can) ?not\b|"
    r"\b(?:bots|machines|algorithms|crawlers|scrapers) (?:stay|keep|go) (?:out|off|away)\b|"
    r"\bno (?:downloading|downloads?|screenshots?|re ?streaming|sampling|remix\w*)\b|"
    r"\b(?:faces?|people|persons?|plates?|names?) (?:must|should|have to|need to) be (?:blurred|anonymi[sz]ed|hidden|"
    r"masked|removed)\b|^(?:blur|anonymi[sz]e) (?:\w+ )?(?:first|before\b.*)$|"
    r"^(?:owned by|produced for|commissioned by|made for (?:a|the) client)\b|\bwork (?:made )?for hire\b|"
    r"\bclient (?:footage|material|film|video|work)\b|"
    r"^(?:check|clear|ask) (?:with )?(?:\w+ )?(?:legal|lawyers?|\w+ first)$|^check with \w+$|"
    r"^\w+ objects(?: to .*)?$|\bblocked by \w+|\bkeep (?:this |it )?off (?:the )?(?:web|inter ?net|net|youtube)\b|"
    r"\bnot for the public\b|\b(?:not|never) (?:ok|okay|safe|fine|cleared|suitable) (?:to|for) (?:use|release|"
    r"train\w*|publish\w*)\b|"
    # money that is due, and words to ask first
    r"\b(?:invoice|budget|fee|honorar|rechnung|buy ?out) (?:is )?(?:unpaid|pending|offen|due|outstanding)\b|^unpaid$|"
    r"\bprice on request\b|\b(?:please )?ask (?:me |us )?(?:first|before)\b|^(?:please )?ask$|"
    r"\bto use this (?:film|video|clip|footage)\b|\bneed to know\b|\bnot to leave\b|\bexport controlled\b"
)
_WHOLE = (  # as a whole sentence, where it says what somebody decided, or what kind of copy it is
    r"(?:for (?:position|official use) only|fpo|fouo|comps?|(?:low res )?proof|preview copy|watermark : preview|"
    r"trial version|(?:trade|company|business) secret|top secret|secret|secr\w+|betriebsgeheimnis\w*|"
    r"geschaftsgeheimnis\w*|geheim|intern\w{0,3}|nur intern|verschlusssache|vs nfd|noforn|itar|ear99|ntk|cui|дсп|"
    r"секретно|конфиденциально|gizli\w*|titkos|bizalmas|tajne|duverne|salainen|luottamuksellinen|fortrolig\w*|"
    r"konfident\w+|hemlig\w*|salassa pidettava|tajno|סודי|سري|비밀|机密|極秘|秘密|unreleased|leaked|poisoned|glazed|"
    r"nsfl|dmi prohibited\w*|noindex|nofollow|noarchive|nosnippet|max image preview : none|editorial|educational|"
    r"academic|for sale|ppv|pay per view|paid content|delete|objection|widerspruch|abandonware|out of print|cc|"
    r"creative commons|cc ?by ?n[cd]\w*|ccbyn\w+|gfdl|gnu free documentation licen[cs]e|art libre|gpl|agpl|rf|rr|"
    r"rights ready|unterrichtszwecke|fur forschungszwecke|research purposes|no signature|not data|nicht gefragt|"
    r"hands off (?:\w+ )*\w+|(?:only(?:fans)?|patreon) ?(?:exclusive)?|(?:bbc|\w+) exclusive|exclude(?: this)?|"
    r"skip this|leave (?:this )?(?:one )?out|not ok|better not(?: use)?|use with care|problematic|no go|questionable|"
    r"dubious|doubtful|not sure|watermarked|(?!(?:audio|video|sound|picture|image|vocals?|music|background|"
    r"foreground|test|your eyes) only)(?:\w+ ){1,4}only)"
)
# What the same words mean in a sentence that is about something else, or that takes nothing away.
_HARMLESS = (
    r"\b(?:driv\w+|driver'?s|fishing|hunting|marriage|pilot'?s?|gun|dog|tv|liquor|trade|shop) licen[cs]e\w*|"
    r"\blicen[cs]e plates?\b|\blicen[cs]ed (?:to kill|drivers?|pilots?|nurses?|guides?|premises|bars?|victuall\w+)\b|"
    r"\blicen[cs]e to \w+\b|\b(?:poetic|artistic) licen[cs]e\b|"
    r"\bunlicen[cs]ed (?:taxi|drivers?|cabs?|dentists?|doctors?)\b|\bthe copyright (?:office|library|debate|law)\b|"
    r"\b(?:us |uk |its |the )?copyright (?:has |was )?(?:not renewed|expired|lapsed|waived)\b|"
    r"\bno known copyright restrictions?\b|\bno copyright\b(?! infring| intend)|\bcopyright free\b|"
    r"\b(?:human|civil|womens?|women's|womans?|children'?s|animals?|gay|lgbt\w*|trans|equal|voting|workers?'?|"
    r"labou?r|land|water|riparian|patients?'?|fathers?'?|minority|indigenous|disability|squatters?'?|bill of|last|"
    r"union|states?'?) rights\b|\brights (?:of (?:way|man|passage|women|nature|the child)|and wrongs?|activists?|"
    r"march\w*|movement|protest\w*|rall(?:y|ies)|campaign\w*)\b|"
    r"\b(?:to|set\w*|puts?|dead|bang) (?:things? )?(?:to )?rights\b|\bmenschenrechte\b|"
    r"\b(?:frauen|burger|grund|kinder|tier|arbeiter|wahl)rechte\b|"
    r"\bdroits (?:humains|de l'homme|des (?:femmes|enfants|animaux)|civi\w+)\b|"
    r"\bderechos (?:humanos|civiles|de (?:las? mujer(?:es)?|los ninos))\b|\bdiritti (?:umani|civili|delle donne)\b|"
    r"\bdireitos (?:humanos|civis|das? mulher(?:es)?)\b|\bno rights reserved\b|"
    r"\b(?:get|gets|got|gives?|gave|asks?|asked|has|have|had) permission to (?!use|film|show|publish|copy)\w+|"
    r"\bpermission to (?:land|speak|leave|enter|go|come|board)\b|\bage of consent\b|"
    r"\b(?:a|the|his|her|their|new) (?:\w+ )?licen[cs]e for a\b|"
    r"\blicen[cs]ed (?:\w+ )?(?:pilots?|drone|taxi|electrician\w*|plumber\w*)\b|\bproperty rights in\b|"
    r"\brights for all\b|\b(?:for|demand\w*|fight\w*|fought|claim\w*) (?:for )?(?:our|your|their|his|her) rights?\b|"
    r"\brights of (?:\w+ )?(?:animals|workers|children|people)\b|"
    r"\b(?:filmed|shot|taken|recorded|made|flown|entered|flying|filming) (?:\w+ ){0,4}?(?:with|"
    r"by) (?:\w+ ){0,3}?(?:permission|consent)\b|\b(?:with|has|have|had|gave|given|obtained|"
    r"by) (?:\w+ ){0,3}?consent\b|\b(?:no|without) (?:\w+ )?(?:permission|consent|model release|property release|"
    r"release|licen[cs]e|clearance|attribution|authori[sz]ation)s? (?:is |are |was )?(?:required|needed|necessary)\b|"
    r"\bconsent(?:ed)? (?:is |was |of (?:all |the )?(?:people|persons|participants) )?(?:given|obtained|on file|"
    r"recorded)\b|\b(?:model|property|talent) released?s?(?: (?:form )?(?:on file|signed|available|yes|obtained))?$|"
    r"\b(?:dogs?|pets?|cars?|bikes?|visitors?|children|cameras?|smoking|swimming|parking|entry|photography|filming|"
    r"drones?) (?:are |is )?(?:not )?(?:allowed|permitted)\b|"
    r"\b(?:security|road|ground|height|water|tree|land|mine|jungle|slum|forest|snow|sale) clearances?\b|"
    r"\b(?:ai|ml|tdm|training|reuse|use|commercial use|derivatives|modifications?|sharing|"
    r"copying) (?:and (?:\w+ )?\w+ )?(?:is |are )?(?:also |explicitly )?(?:allowed|permitted|welcome|"
    r"authori[sz]ed)\b|\b(?:free to|freely) (?:use|share|licen[cs]ed)\b|"
    r"\bautoriz\w+ (?:la|el|o) (?:\w+ )?(?:entrada|paso)\b|\bbicentennial\b|\bzgoda buduje\b"
)
_SOME_RIGHTS = re.compile(r"(?i)\bsome rights (?:are )?reserved\b")  # as Creative Commons puts it
_WHOLE_WORDS = 6  # that a sentence of `_WHOLE` has at most
_CREATIVE_COMMONS = re.compile(r"\bcc\b|creative ?commons")
_SENTENCE = re.compile(r"[.!?](?=\s|$)|[|;\n\r•·()\[\]{}\"“”„]|\s[-–—/]\s")
_LEAD = re.compile(
    r"(?i)^\W*(?:(?:this|the|our|my|all|these|whole) )*(?:(?:films?|videos?|works?|clips?|footage|data ?sets?|data|"
    r"media|files?|content|material|recordings?|images?|pictures?|music|sound|soundtrack|text|"
    r"captions?)\b(?: and (?:music|sound|captions?))? ?)?(?:is |are )?(?:made )?(?:(?:dual |multi )?licen[cs]ed|"
    r"released|available|published|distributed|shared|offered|provided)? ?(?:under|as|into|in|on|with|by|:|=|"
    r"-)? ?(?:(?:the|a|an|this) )?(?:terms of (?:the )?)?(?:licen[cs]e ?[:=-]? ?)?"
)
_TAIL = re.compile(r"(?i)[\s,]*\b(?:public )?(?:licen[cs]e[ds]?|waiver|dedication)?\W*$")


def unclear(text: str) -> str | None:
    """The sentence of a text that speaks of rights in words that are not understood, quoted; None for no such."""
    text = text[:MAX_CELL]
    sentences = [sentence for sentence in _SENTENCE.split(text) if sentence.strip()]
    if len(sentences) > 1 and not any(_speaks(form) for form in _readings(text)):  # as most of them
        sentences = [sentence for sentence in sentences if len(sentence.split()) <= _WHOLE_WORDS]
    commons = _CREATIVE_COMMONS.search(readable(text)) is not None
    for sentence in sentences:
        readings = _readings(_SOME_RIGHTS.sub("", sentence) if commons else sentence)
        decided = any(_patterns().whole.fullmatch(form) or _patterns().forms.search(form) for form in readings)
        topic = None if decided else _topic(readings)
        if not decided and topic is None:
            continue
        if decided or not (_names_a_licence(sentence) or _names_an_owner(sentence, topic)):
            return quoted(sentence.strip(" .,:-"))
    return None


def _readings(text: str) -> tuple[str, ...]:
    """Words with one space between two, as they are and with letters that look like Latin ones."""
    forms = (readable(text),) if text.isascii() else (readable(text), latin(readable(text)))
    return tuple(dict.fromkeys(" ".join(re.sub(r"[^\w':=]+|_", " ", form).split()) for form in forms))


def _speaks(form: str) -> bool:
    return _patterns().topics.search(form) is not None or _patterns().forms.search(form) is not None


def _topic(readings: Iterable[str]) -> str | None:
    """The word by which a sentence speaks of rights, where it does not mean something else there."""
    topics = _patterns().topics
    hits = (topics.search(_patterns().harmless.sub(" ", form)) for form in readings if topics.search(form))
    return next((hit[0] for hit in hits if hit is not None), None)


def _names_a_licence(sentence: str) -> bool:
    """Whether what is said of rights is the name of a licence, with or without the words that lead to one."""
    pieces = [piece for piece in re.split(r",\s|\s(?=https?://)", sentence) if _topic(_readings(piece)) is not None]
    return all(named_licence(piece) is not None for piece in (pieces or [sentence]))


def _forms(piece: str) -> tuple[str, ...]:
    lead = _LEAD.sub("", piece)
    return piece.strip(), lead.strip(), _TAIL.sub("", lead).strip(), _TAIL.sub("", piece).strip()


def named_licence(sentence: str) -> str | None:
    """The licence that a sentence names, as SPDX writes it, with or without the words that lead to it."""
    return next((spdx for form in _forms(sentence) if (spdx := _licence(form)) is not None), None)


def _licence(words: str) -> str | None:
    if not words or len(words) > 200:
        return None
    licence = read_licence(words)
    return licence.spdx if licence.problem is None and licence.spdx != UNKNOWN else None


def _names_an_owner(sentence: str, topic: str | None) -> bool:
    """Whether it is a notice of copyright that holds names."""
    if topic != "copyright":
        return False
    signed = re.search(r"[©℗]|\(\s*[cpCP]\s*\)|\b(?:1[89]|20)\d\d\b", sentence) is not None
    return names_somebody(sentence if signed else re.sub(r"(?i)\bcopyright(?: by)?\b", " ", sentence))


class _Patterns(NamedTuple):
    topics: re.Pattern[str]
    harmless: re.Pattern[str]
    forms: re.Pattern[str]
    whole: re.Pattern[str]


@functools.cache
def _patterns() -> _Patterns:
    return _Patterns(re.compile(_TOPICS), re.compile(_HARMLESS), re.compile(_FORMS), re.compile(_WHOLE))
